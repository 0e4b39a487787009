"""HEAT's routes, one file per noun: decode, ask the engine, encode."""
