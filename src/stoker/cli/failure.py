"""How an error looks: what was asked, what stood in the way, where, and the remedy. On stderr, never a traceback."""

from __future__ import annotations

import json
import sys
from typing import Any

from stoker.cli import exits
from stoker.cli.options import Options
from stoker.errors import Invalid, Problem, StokerError


class Usage(Invalid):
    """The command was not understood: its exit code is 2."""

    code = "usage"


def show(error: StokerError, options: Options) -> int:
    """Print the error; the exit code."""
    if options.output == "json":
        print(json.dumps({"error": as_json(error)}, indent=2), file=sys.stderr)
    else:
        print("\n".join(lines(error)), file=sys.stderr)
    return exits.USAGE if isinstance(error, Usage) else exits.FAILED


def usage(message: str, known: list[str], remedy: str = "") -> int:
    """Print what was not understood. `known`: the words of the command that were, whose help is the remedy else."""
    print(f"error: {message[:1].lower()}{message[1:]}", file=sys.stderr)
    remedy = remedy or f"See `{' '.join(['stoker', *known])} --help`."
    print(f"  remedy: {remedy}", file=sys.stderr)
    return exits.USAGE


def lines(error: StokerError) -> list[str]:
    """The error for people."""
    found = [f"error: {error.message}"]
    found += [f"  place: {error.place}"] if error.place else []
    found += [f"  - {_indented(str(problem))}" for problem in error.problems]
    found += [f"  remedy: {_indented(error.remedy)}"] if error.remedy else []
    return found


def as_json(error: StokerError) -> dict[str, Any]:
    """The error for programs; its fields stay."""
    return {
        "code": error.code,
        "message": error.message,
        "place": error.place,
        "remedy": error.remedy,
        "problems": [_problem(problem) for problem in error.problems],
    }


def _problem(problem: Problem) -> dict[str, str]:
    return {"code": problem.code, "message": problem.message, "place": problem.place, "remedy": problem.remedy}


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
