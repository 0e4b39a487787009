import csv as tables

import stoker


def rows(file: stoker.File) -> list[dict[str, str]]:
    try:
        with file.open() as lines:
            found = list(tables.DictReader(lines))
    except (UnicodeDecodeError, tables.Error) as error:
        raise stoker.NotRetryable(f"{file.name} is not a CSV table: {error}") from error
    if not found or "date" not in found[0]:
        raise stoker.NotRetryable(f"{file.name} has no rows with a column 'date'")
    return found


@stoker.node
def years(csv: stoker.File) -> list[str]:
    return sorted({row["date"][:4] for row in rows(csv)})


@stoker.node(retry=stoker.Retry(3, base="2s"), timeout="5m")
def totals(csv: stoker.File, year: str, task: stoker.Task) -> dict[str, float]:
    mine = [row for row in rows(csv) if row["date"].startswith(year)]
    task.log(f"{year} has {len(mine)} days")
    return {name: round(sum(float(row[name]) for row in mine), 1) for name in ("precipitation", "wind")}


@stoker.node
async def report(years: list[str], parts: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return dict(zip(years, parts, strict=True))


@stoker.graph
def weather(csv: stoker.File):
    found = years(csv)
    return report(found, totals.map(csv=csv, year=stoker.each(found)))
