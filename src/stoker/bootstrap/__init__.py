"""The composition root: what is built out of what. Nothing else constructs."""
