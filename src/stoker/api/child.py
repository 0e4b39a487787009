"""The serving process: `python -m stoker.api.child <fd> <channel fd> <factory> <arguments>`.

The supervisor starts it with the listening socket and a channel, both inherited. `factory` is a dotted name,
`module:function`; the function takes the arguments and gives an async context manager around an application. Entering
it opens the store, leaving it releases the store. The channel carries one byte when requests are answered; when it
closes, the supervisor is gone and the child ends. SIGTERM ends it gracefully.
"""

from __future__ import annotations

import asyncio
import importlib
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress

from stoker.api.serve import Application, serve
from stoker.errors import Rejected, StokerError

Factory = Callable[[Sequence[str]], AbstractAsyncContextManager[Application]]

REFUSED = 2  # exit code: starting again would not help
FAILED = 1


def main(argv: Sequence[str]) -> int:
    listener_fd, channel_fd, factory, *arguments = argv
    listener = socket.socket(fileno=int(listener_fd))
    listener.setblocking(False)
    channel = socket.socket(fileno=int(channel_fd))
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(listener, channel, _resolve(factory), arguments))
    except StokerError as error:
        print(f"stoker: {error}", file=sys.stderr, flush=True)
        return REFUSED if isinstance(error, Rejected) else FAILED
    return 0


async def _serve(listener: socket.socket, channel: socket.socket, factory: Factory, arguments: Sequence[str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(channel, _orphaned, loop, channel, stop)
    async with factory(arguments) as app:
        await serve(app, listener, stop, ready=lambda: _tell(channel))


def _orphaned(loop: asyncio.AbstractEventLoop, channel: socket.socket, stop: asyncio.Event) -> None:
    loop.remove_reader(channel)
    stop.set()


def _tell(channel: socket.socket) -> None:
    with suppress(OSError):  # the supervisor is gone; that it is ends this process in order
        channel.send(b"\1")


def _resolve(dotted: str) -> Factory:
    module, _, name = dotted.partition(":")
    factory: Factory = getattr(importlib.import_module(module), name)
    return factory


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
