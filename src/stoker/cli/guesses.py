"""What somebody may have meant by words that are no command: one of another group, or of another name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cyclopts import App, CycloptsError, UnknownCommandError, UnusedCliTokensError

_ALSO = {
    "add": ("create", "set"),
    "show": ("get",),
    "get": ("show",),
    "ls": ("list",),
    "rm": ("delete", "revoke"),
    "delete": ("revoke",),
    "remove": ("delete", "revoke"),
    "start": ("run",),
    "submit": ("run",),
    "trigger": ("run",),
    "debug": ("replay",),
    "why": ("explain",),
    "serve": ("server start", "dev"),
    "worker": ("runner start",),
    "restore": ("db restore",),
}
"""Other words for a command."""
_SHOWN = {"list", "ls", "get", "show"}
_MOST = 4  # guesses that are told


def told(error: CycloptsError, app: App) -> tuple[str, str] | None:
    """What is wrong with a command, and the remedy; None: nothing is known but what the error says."""
    chain = list(error.command_chain or ())
    match error:
        case UnknownCommandError(unused_tokens=[word, *_]) if found := list(dict.fromkeys(_meant(word, chain, app))):
            few = " or ".join(f"`stoker {each}`" for each in found[:_MOST])
            return f'unknown command "{" ".join([*chain, word])}"', f"Is it {few}?"
        case UnusedCliTokensError() if chain == ["secrets", "set"]:
            return (
                "the value of a secret does not stand among the arguments, where other users can read it",
                "Give it on stdin, as in `stoker secrets set NAME < FILE`, or leave it out to be asked for it.",
            )
        case UnusedCliTokensError(unused_tokens=[*words]):
            rest = " ".join(map(repr, words))
            return f"`stoker {' '.join(chain)}` does not take {rest}", f"See `stoker {' '.join(chain)} --help`."
    return None


def _meant(word: str, chain: list[str], app: App) -> Iterator[str]:
    """Commands: in the same group by another name; anywhere by this name; at the top by another one."""
    words = [word, *_ALSO.get(word, ())]
    here = _names(app, chain)
    yield from (" ".join([*chain, each]) for each in words if each in here)
    top = _names(app, [])
    if chain:
        yield from (each for each in words if each in top)
        if word in _SHOWN:  # `tasks list`: what one group changes, another shows
            yield from (f"{group} {chain[-1]}" for group in top if chain[-1] in _names(app, [group]))
        return
    yield from (each for each in words if each.partition(" ")[0] in top)
    yield from (each for each in (f"{word}s",) if each in top)
    for group in top:
        yield from (f"{group} {each}" for each in (word, f"{word}s") if each in _names(app, [group]))


def _names(app: App, chain: list[str]) -> Mapping[str, object]:
    for name in chain:
        app = app[name]
    return {name: None for name in app if not name.startswith("-")}
