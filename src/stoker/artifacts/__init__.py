"""The object store: bytes by key, behind one small port."""
