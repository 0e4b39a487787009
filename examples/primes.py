"""Counts primes on all cores: isolated nodes with progress, a timeout, retries, and a cancel that is heard.

Run it alone: `python examples/primes.py`. The last part stands under `__main__` because isolated nodes run in processes
of their own, which import this file.
"""

import sys

import stoker

STEP = 50_000


@stoker.node
def ranges(below: int) -> list[int]:
    return list(range(0, below, STEP))


@stoker.node(isolation=True, timeout="5m", retry=stoker.Retry(3))
def primes(start: int, below: int, task: stoker.Task) -> int:
    """How many primes lie in one step."""
    end, found = min(start + STEP, below), 0
    for number in range(max(start, 2), end):
        if number % 5_000 == 0:
            task.raise_if_cancelled()
            task.progress((number - start) / (end - start), f"at {number}")
        found += all(number % divisor for divisor in range(2, int(number**0.5) + 1))
    return found


@stoker.node
def total(parts: list[int]) -> int:
    return sum(parts)


@stoker.graph
def count_primes(below: int):
    return total(primes.map(start=stoker.each(ranges(below)), below=below))


if __name__ == "__main__":
    sys.stdout.write(f"{stoker.run(count_primes, below=100_000)} primes below 100000\n")
