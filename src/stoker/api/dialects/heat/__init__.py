"""The HEAT dialect: `/api/…` as HEAT's own clients speak it, on documents and on the engine."""
