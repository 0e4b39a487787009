"""What is said of a request that cannot be read: one entry for each field, in the form that clients of 422s expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stoker.api.dialects.exosphere.refusals import Unprocessable, entry
from stoker.core.names import fault

Loc = tuple[str | int, ...]


class Entries:
    """Reads fields, and collects what is wrong with them. What reads nothing gives None."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def check(self) -> None:
        """Unprocessable if anything was wrong."""
        if self.found:
            raise Unprocessable(self.found)

    def add(self, sort: str, loc: Loc, message: str, given: object, **ctx: object) -> None:
        self.found.append(entry(sort, loc, message, given, **ctx))

    def wrong(self, loc: Loc, message: str, given: object) -> None:
        """A value that is of the right sort and still none."""
        self.add("value_error", loc, f"Value error, {message}", given, error={})

    def missing(self, loc: Loc, given: object) -> None:
        self.add("missing", loc, "Field required", given)

    def mapping(self, given: object, loc: Loc) -> dict[str, Any] | None:
        if isinstance(given, dict):
            return given
        self.add("dict_type", loc, "Input should be a valid dictionary", given)
        return None

    def listed(self, given: object, loc: Loc) -> list[Any] | None:
        if isinstance(given, list):
            return given
        self.add("list_type", loc, "Input should be a valid list", given)
        return None

    def text(self, given: object, loc: Loc) -> str | None:
        if isinstance(given, str):
            return given
        self.add("string_type", loc, "Input should be a valid string", given)
        return None

    def name(self, given: object, loc: Loc, empty: str, *, reserved: str = "") -> str | None:
        """A name, trimmed. `empty`: what is said of one that is blank; `reserved`: one that may not be used."""
        text = self.text(given, loc)
        if text is None:
            return None
        name = text.strip()
        wrong = empty if not name else fault(name)
        if name and name == reserved:
            wrong = f"Node identifier cannot be reserved word '{reserved}'"
        if wrong:
            self.wrong(loc, wrong, given)
            return None
        return name

    def texts(self, given: object, loc: Loc) -> dict[str, str] | None:
        """A dictionary of texts."""
        found = self.mapping(given, loc)
        if found is None:
            return None
        read = {key: self.text(value, (*loc, key)) for key, value in found.items()}
        return {key: value for key, value in read.items() if value is not None}

    def integer(self, given: object, loc: Loc, *, least: int) -> int | None:
        """A whole number of at least 0, or greater than 0 (`least` 1). Texts of digits are read too."""
        number = given
        if isinstance(given, str):
            try:
                number = int(given.strip())
            except ValueError:
                message = "Input should be a valid integer, unable to parse string as an integer"
                self.add("int_parsing", loc, message, given)
                return None
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        if not isinstance(number, int) or isinstance(number, bool):
            self.add("int_type", loc, "Input should be a valid integer", given)
        elif number >= least:
            return number
        elif least == 0:
            self.add("greater_than_equal", loc, "Input should be greater than or equal to 0", given, ge=0)
        else:
            self.add("greater_than", loc, "Input should be greater than 0", given, gt=0)
        return None

    def seconds(self, given: object, loc: Loc) -> float | None:
        """A length of time, longer than nothing."""
        if isinstance(given, bool) or not isinstance(given, int | float):
            self.add("float_type", loc, "Input should be a valid number", given)
        elif given > 0:
            return float(given)
        else:
            self.add("greater_than", loc, "Input should be greater than 0", given, gt=0)
        return None

    def choice(self, given: object, loc: Loc, options: Sequence[str]) -> str | None:
        if isinstance(given, str) and given in options:
            return given
        *most, last = [f"'{option}'" for option in options]
        expected = f"{', '.join(most)} or {last}" if most else last
        self.add("enum", loc, f"Input should be {expected}", given, expected=expected)
        return None
