"""Counts the words of text files: a file per branch, graphs in graphs, and a file as the result.

Run it alone: `python examples/words.py FILE…`; or with the command line, see `docs/guide.md`.
"""

import csv
import sys

import stoker

LONGEST_LINE = 10_000  # characters; a longer one is no text


@stoker.node
def lines(text: stoker.File) -> list[str]:
    with text.open() as opened:
        found = [line.strip() for line in opened]
    if any(len(line) > LONGEST_LINE for line in found):
        raise stoker.NotRetryable(f"{text.name} has a line of more than {LONGEST_LINE} characters; is it a text?")
    return [line for line in found if line]


@stoker.node
def words(line: str) -> int:
    return len(line.split())


@stoker.node
def counted(text: stoker.File, counts: list[int]) -> dict[str, str | int]:
    return {"name": text.name, "lines": len(counts), "words": sum(counts)}


@stoker.node
def table(rows: list[dict[str, str | int]], task: stoker.Task) -> stoker.File:
    path = task.scratch / "words.csv"
    with path.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, ["name", "lines", "words"])
        writer.writeheader()
        writer.writerows(rows)
    return stoker.File(path)


@stoker.graph
def count(text: stoker.File):
    return counted(text, words.map(line=stoker.each(lines(text))))


@stoker.graph
def word_table(texts: list[stoker.File]):
    return table(count.map(text=stoker.each(texts)))


if __name__ == "__main__":
    result = stoker.run(word_table, texts=[stoker.File(path) for path in sys.argv[1:] or [__file__]])
    sys.stdout.write(result.read_text())
