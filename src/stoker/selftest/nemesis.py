"""Blows at the selftest's own processes, drawn from a seed: killed (many at once, too), stopped and continued,
restarted, ended; and at the networks between runners and servers: cut, held up, slowed down.

A server that has just started ends no lease for 20 s. So that leases are lost all the same, and late reports come, a
long rage spares the servers (and what they stand on) for most of every round, and stops runners longer than a lease.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random

from stoker.selftest.process import Process, send_to
from stoker.selftest.site import Server, Site
from stoker.selftest.wire import Wire

Blow = Callable[[], None]

PAUSES_S = ((0.3, 1.0, 3.0, 7.0, 26.0), (30, 30, 20, 15, 5))  # 26 s: longer than a lease
BETWEEN_S = (0.2, 2.5)
ROUND_S = 55.0
SPARED_AFTER_S = 13.0  # of a round: from then on the servers are spared
SPARED_PAUSES_S = ((0.3, 3.0, 22.5, 26.0), (20, 20, 30, 30))
SPARED_BETWEEN_S = (1.0, 4.0)
WEIGHTS = {
    "runner killed": 6,
    "runner stopped": 4,
    "runner ended": 2,
    "serving process killed": 5,
    "supervisor killed": 2,
    "server killed": 3,
    "server stopped": 3,
    "server restarted": 2,
    "server ended": 1,
    "network cut": 3,
    "network held": 2,
    "network slow": 2,
    "burst": 2,
}
_AT_RUNNERS = {"runner killed": 2, "runner stopped": 5, "runner ended": 1, "network cut": 2, "network held": 1}
SLOW_S = (0.02, 0.3)


class Nemesis:
    """`strikes`: how often each blow fell. `more`: blows at what is not ours, such as a test's own database."""

    def __init__(self, site: Site, dice: Random, more: Mapping[str, Blow] | None = None) -> None:
        self._site = site
        self._dice = dice
        self._more = dict(more or {})
        self._stopped: list[tuple[float, Process]] = []
        self._broken: list[tuple[float, Wire]] = []
        self.strikes: Counter[str] = Counter()

    def rage(self, seconds: float, told: Callable[[str], None]) -> None:
        """Strike for so long; what ends is started again, as a service manager would. At the end everything goes on."""
        begun = next_blow = time.monotonic()
        ends = begun + seconds
        while (now := time.monotonic()) < ends:
            self._continue(now)
            self._site.tend()
            if now >= next_blow:
                spared = seconds >= ROUND_S and (now - begun) % ROUND_S > SPARED_AFTER_S
                if name := self.strike(ends - now, spared=spared):
                    told(name)
                next_blow = time.monotonic() + self._dice.uniform(*(SPARED_BETWEEN_S if spared else BETWEEN_S))
            time.sleep(0.05)
        self._stopped.clear()
        self._broken.clear()
        self._site.resume()

    def strike(self, left: float, *, spared: bool = False) -> str:
        """One blow, and its name; empty if the one that was drawn would leave no runner at work.

        `left`: what is stopped goes on within so many seconds. `spared`: the servers.
        """
        weights = _AT_RUNNERS if spared else WEIGHTS | dict.fromkeys(self._more, 3)
        name = self._dice.choices(list(weights), list(weights.values()))[0]
        free = [one for one in self._site.runners if not spared or not self._is_stopped(one.process)]
        runner, server = self._dice.choice(free or self._site.runners), self._dice.choice(self._site.servers)
        pause = min(self._dice.choices(*(SPARED_PAUSES_S if spared else PAUSES_S))[0], left)
        match name:
            case "runner killed":
                runner.process.send(signal.SIGKILL)
            case "runner stopped" if len(free) > 1:  # somebody is there to take over
                self._stop(runner.process, pause)
            case "runner ended":
                runner.process.send(signal.SIGTERM)
            case "serving process killed":
                self._kill_child(server)
            case "supervisor killed":
                server.process.send(signal.SIGKILL)
            case "server killed":
                server.process.send(signal.SIGKILL, whole=True)
            case "server stopped":
                self._stop(server.process, pause)
            case "server restarted":
                server.process.send(signal.SIGHUP)
            case "server ended":
                server.process.send(signal.SIGTERM)
            case "network cut":
                self._dice.choice(self._site.wires()).cut()
            case "network held":
                self._break(lambda wire: wire.hold(), pause)
            case "network slow":
                self._break(lambda wire: wire.slow(self._dice.uniform(*SLOW_S)), pause)
            case "burst":
                self._burst()
            case other if other in self._more:
                self._more[other]()
            case _:
                return ""
        self.strikes[name] += 1
        return name

    def _kill_child(self, server: Server) -> None:
        child = server.child()
        if child is not None:
            send_to(child, server.process.head, signal.SIGKILL)

    def _burst(self) -> None:
        """All runners but one, and a server."""
        for runner in self._dice.sample(self._site.runners, len(self._site.runners) - 1):
            runner.process.send(signal.SIGKILL)
        self._kill_child(self._dice.choice(self._site.servers))

    def _break(self, how: Callable[[Wire], None], pause: float) -> None:
        wire = self._dice.choice(self._site.wires())
        how(wire)
        self._broken.append((time.monotonic() + pause, wire))

    def _stop(self, process: Process, pause: float) -> None:
        process.send(signal.SIGSTOP, whole=True)
        self._stopped.append((time.monotonic() + pause, process))

    def _is_stopped(self, process: Process) -> bool:
        return any(stopped is process for _, stopped in self._stopped)

    def _continue(self, now: float) -> None:
        for at, process in self._stopped:
            if at <= now:
                process.send(signal.SIGCONT, whole=True)
        self._stopped = [(at, process) for at, process in self._stopped if at > now]
        for at, wire in self._broken:
            if at <= now:
                wire.heal()
        self._broken = [(at, wire) for at, wire in self._broken if at > now]
