"""Totals of a table of daily weather, year by year: ingest, fan out, sum, join, report."""

import csv as table

import stoker


def rows(file: stoker.File) -> list[dict[str, str]]:
    with file.open() as lines:
        return list(table.DictReader(lines))


@stoker.node
def years(csv: stoker.File) -> list[str]:
    return sorted({row["date"][:4] for row in rows(csv)})


@stoker.node(retry=stoker.Retry(3, base="2s"), timeout="5m")
def totals(csv: stoker.File, year: str, task: stoker.Task) -> dict[str, float | None]:
    mine = [row for row in rows(csv) if row["date"].startswith(year)]
    task.log(f"{year}: {len(mine)} days")
    return {name: total([row[name] for row in mine]) for name in mine[0]}


def total(column: list[str]) -> float | None:
    try:
        return round(sum(map(float, column)), 1)
    except ValueError:
        return None  # a column of text


@stoker.node
async def report(years: list[str], parts: list[dict[str, float | None]]) -> dict[str, dict[str, float | None]]:
    return dict(zip(years, parts, strict=True))


@stoker.graph
def weather(csv: stoker.File):
    found = years(csv)
    return report(found, totals.map(csv=csv, year=stoker.each(found)))
