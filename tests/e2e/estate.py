"""Two servers on one PostgreSQL, and runners of either, as real processes: to be killed, the database too."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

from databases import Cluster
from e2e.site import HERE, Site, until

TOKEN = "stk_estate"


class Estate:
    """`sites`: the servers, each with runners of its own. All traces of the work go to one file."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(durable=True)
        self.cluster.start()
        self.sites: list[Site] = []
        try:
            settings = {
                "STOKER_DATABASE_URL": self.cluster.create(),
                "STOKER_ARTIFACTS": str(folder / "artifacts"),
                "STOKER_TOKEN": TOKEN,
            }
            for name in ("a", "b"):
                self.sites.append(Site(folder / name, settings))
                self.sites[-1].trace = self.sites[0].trace
        except BaseException:
            self.close()
            raise

    def kill(self, site: Site) -> None:
        """Kill a server wholly, the supervisor first, and start it anew on its port."""
        child = site.child()
        for pid in (site.server.pid, child):
            if pid:
                os.kill(pid, signal.SIGKILL)
        site.server.wait()
        port = site.url.rpartition(":")[2]
        site.server = site.start("server", "start", "--port", port, "--data", str(site.data))

    def strike(self, dice: random.Random, runners: dict[str, tuple[Site, subprocess.Popen[bytes]]]) -> str:
        """One blow at something: what was hit."""
        victim = dice.choice([*runners, "child", "child", "server", "database", "database killed"])
        match victim:
            case "child":
                dice.choice(self.sites).kill_child()
            case "server":
                self.kill(dice.choice(self.sites))
            case "database":
                self.cluster.restart(mode=dice.choice(["fast", "immediate"]))
            case "database killed":
                self.cluster.kill()
                self.cluster.start()
            case name:
                site, process = runners[name]
                process.kill()
                runners[name] = (site, site.start("runner", "start", str(HERE / "work.py"), "--name", name))
        return victim

    def connected(self, count: int) -> None:
        """Return when so many runners are known to both servers."""
        for site in self.sites:
            until(lambda site=site: self._connected(site) >= count, f"{count} runners to be seen by {site.url}")

    @staticmethod
    def _connected(site: Site) -> int:
        return sum(view.connected for view in site.client.call(site.client.api.runners()))

    def close(self) -> None:
        for site in self.sites:
            site.close()
        self.cluster.close()
