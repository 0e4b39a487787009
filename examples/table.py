"""Prints where the table of the examples lies: daily weather of Seattle, shipped by the package `vega_datasets`."""

import sys
from importlib.util import find_spec
from pathlib import Path


def table() -> Path:
    spec = find_spec("vega_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the examples read a table that the package vega_datasets ships; `make setup` installs it")
    return Path(spec.submodule_search_locations[0], "_data", "seattle-weather.csv")


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
