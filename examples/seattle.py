"""The demo's graph: daily weather of Seattle, 2012-2015. Ingest, fan out by month, sum the columns, join, report.

Each month takes a moment longer than the sums need, so that there is something to watch, and to kill.
"""

import csv
import time

import stoker

MOMENT_S = 0.4


@stoker.node
def ingest(table: stoker.File) -> dict[str, list[dict[str, str]]]:
    """The rows of each month, as text."""
    months: dict[str, list[dict[str, str]]] = {}
    with table.open() as lines:
        for row in csv.DictReader(lines):
            if not row.get("date"):
                raise stoker.NotRetryable("the table has no column 'date'; is it a CSV of daily measurements?")
            months.setdefault(row["date"][:7], []).append(row)
    if not months:
        raise stoker.NotRetryable("the table has no rows")
    return months


@stoker.node
def months(parts: dict[str, list[dict[str, str]]]) -> list[str]:
    return sorted(parts)


@stoker.node(retry=stoker.Retry(3, base="1s"), timeout="1m")
def totals(parts: dict[str, list[dict[str, str]]], month: str, task: stoker.Task) -> dict[str, float | None]:
    """The sum of each numeric column of a month; a column of text is null."""
    rows = parts[month]
    task.progress(0.5, f"{month}: {len(rows)} days")
    time.sleep(MOMENT_S)
    return {column: total([row[column] for row in rows]) for column in rows[0]}


def total(values: list[str]) -> float | None:
    try:
        return sum(map(float, values))
    except ValueError:
        return None


@stoker.node
async def report(parts: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The sums over all months."""
    columns = {column for part in parts for column in part}
    return {column: overall([part.get(column) for part in parts]) for column in sorted(columns)}


def overall(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 1) if len(known) == len(values) else None


@stoker.graph
def seattle(table: stoker.File):
    parts = ingest(table)
    return report(totals.map(parts=parts, month=stoker.each(months(parts))))
