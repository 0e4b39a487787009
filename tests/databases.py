"""PostgreSQL for tests: clusters made from the programs on this machine, on unix sockets in short folders.

Nothing here knows the driver under test: it starts processes, asks `psql` and waits for facts. As root, the programs
run as the user `postgres`, because they refuse to run as root.
"""

from __future__ import annotations

import itertools
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from psql import Psql

SERVERS = Path("/usr/lib/postgresql")  # where Debian's packages put each version's programs
PASSWORD = "of-the-tests"
SETTINGS = {"max_connections": 200, "full_page_writes": "off", "logging_collector": "off"}
PATIENCE = 60.0  # seconds until a fact that does not come is an error
Mode = Literal["smart", "fast", "immediate"]
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class Missing(Exception):
    """A program that the tests need is not on this machine."""


class Cluster:
    """A PostgreSQL server with a folder of its own; `close` leaves neither.

    Whoever connects through the socket is trusted. With a `port` (0: any that is free) it listens on 127.0.0.1 too,
    where a password is asked for. Unless `durable`, commits survive the death of processes, but not of the machine.
    """

    def __init__(self, *, durable: bool = False, port: int | None = None) -> None:
        self._programs = server_programs()
        self.folder = short_folder()
        self.port = 5432 if port is None else port or _free_port()  # names the socket too
        self._process: _Process | None = None
        self._psql = Psql(self._asking("postgres"), **_started_in(self.folder))
        self._names = (f"t{number}" for number in itertools.count(1))
        try:
            self._make()
            self._settle_settings(durable, listens=port is not None)
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- its life ---

    def start(self) -> None:
        """Start the server, and return when it takes connections."""
        if self._process is not None:
            raise RuntimeError(f"the cluster in {self.folder} was asked to start, but it runs already")
        self._data.joinpath("postmaster.pid").unlink(missing_ok=True)  # left by `kill`, which saw all processes end
        self._process = _Process([self._program("postgres"), "-D", str(self._data)], self.folder)
        self._process.until(self._ready)

    def stop(self, mode: Mode = "fast") -> None:
        """Stop the server, and return when its last process has ended."""
        self._psql.close()  # "smart" waits for whoever is connected
        self._running.end(_SIGNALS[mode])
        self._process = None

    def restart(self, mode: Mode = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """Kill the server without warning (SIGKILL); `start` makes it recover."""
        self._running.end(signal.SIGKILL)
        self._process = None
        self._psql.close()

    def close(self) -> None:
        """End everything and delete the folder."""
        if self._process is not None:
            self.stop("immediate")
        shutil.rmtree(self.folder)

    # --- its databases ---

    def create(self, like: str | None = None) -> str:
        """A fresh database, empty or a copy of one that nobody is connected to; gives its URL."""
        name, template = next(self._names), f" TEMPLATE {name_of(like)}" if like else ""
        self._psql.tell(f"CREATE DATABASE {name}{template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is still connected."""
        self._psql.tell(f"DROP DATABASE IF EXISTS {name_of(url)} WITH (FORCE)")

    def url(self, name: str) -> str:
        """The database's URL through the socket."""
        port = "" if self.port == 5432 else f"&port={self.port}"
        return f"postgresql:///{name}?host={self.folder}{port}&user=postgres"

    def tcp_url(self, url: str, *, port: int | None = None) -> str:
        """The same database through TCP, or through what listens on that `port` in front of it."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port or self.port}/{name_of(url)}"

    def configure(self, **settings: str | int | None) -> None:
        """Change settings that need no restart (None: back to the default); new sessions have them on return."""
        changes = (
            f"SET {name} = '{value}'" if value is not None else f"RESET {name}" for name, value in settings.items()
        )
        loaded = "SELECT pg_conf_load_time()"
        before = self.psql(loaded)
        self.psql(*(f"ALTER SYSTEM {change}" for change in changes), "SELECT pg_reload_conf()")
        until(lambda: self.psql(loaded) != before, f"{self.folder} to load its settings")

    @property
    def pid(self) -> int:
        """The process whose children serve the connections."""
        return int(self._data.joinpath("postmaster.pid").read_text().split()[0])

    def psql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements, each a transaction of its own; gives the rows as unaligned text."""
        told = (part for statement in statements for part in ("-c", statement))
        return _run([*self._asking(database), *told], self.folder)

    # --- inside ---

    def _asking(self, database: str) -> list[str]:
        where = ["-h", str(self.folder), "-p", str(self.port), "-U", "postgres", "-d", database]
        return [self._program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", *where]

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _running(self) -> _Process:
        if self._process is None:
            raise RuntimeError(f"the cluster in {self.folder} was asked to stop, but it does not run: start it first")
        return self._process

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)  # in a folder that is private itself
        access = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"]
        words = ["-U", "postgres", "--encoding=UTF8", "--locale=C"]
        _run([self._program("initdb"), "-D", str(self._data), "--no-sync", *words, *access], self.folder)

    def _settle_settings(self, durable: bool, *, listens: bool) -> None:
        settings = SETTINGS | {
            "fsync": "on" if durable else "off",
            "listen_addresses": "127.0.0.1" if listens else "",
            "port": self.port,
            "unix_socket_directories": self.folder,
        }
        if durable:
            settings["full_page_writes"] = "on"
        # In the file, not on the command line, from which `configure` could not change them.
        with self._data.joinpath("postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _ready(self) -> bool:
        """Whether the server says so, in the last line of the file that it keeps while it runs."""
        try:
            return self._data.joinpath("postmaster.pid").read_text().split()[-1] == "ready"
        except (FileNotFoundError, IndexError):
            return False


class Bouncer:
    """PgBouncer in front of a cluster: a server connection is lent for one transaction at a time."""

    def __init__(self, cluster: Cluster) -> None:
        program = _bouncer_program()
        self.folder = short_folder()
        config = self.folder / "bouncer.ini"
        config.write_text(_BOUNCER.format(cluster=cluster.folder, port=cluster.port, folder=self.folder))
        self._process = _Process([program, str(config)], self.folder)
        self.pid = self._process.pid
        try:
            self._process.until(self._accepts)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, database_url: str) -> str:
        """The same database through the bouncer."""
        return f"postgresql:///{name_of(database_url)}?host={self.folder}&user=postgres"

    def close(self) -> None:
        self._process.end(signal.SIGKILL)  # it holds nothing, and may wait after or ignore all else
        shutil.rmtree(self.folder)

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.folder / ".s.PGSQL.5432")) == 0


_BOUNCER = """
[databases]
* = host={cluster} port={port} user=postgres
[pgbouncer]
listen_port = 5432
listen_addr =
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
max_client_conn = 200
server_login_retry = 1
"""


class _Process:
    """A program and all that it forks. They share the write end of a pipe: its end of file is the end of the last."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._log = folder / "log"
        self._alive, held = os.pipe()
        try:
            with self._log.open("ab") as log:
                self._popen = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[held],
                    start_new_session=True,  # a Ctrl-C in the terminal is for the tests, which then close it
                    **_started_in(folder),
                )
        except BaseException:
            os.close(self._alive)
            raise
        finally:
            os.close(held)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def until(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready; an error tells what it wrote if it ends before."""

        def ready_or_ended() -> bool:
            return ready() or self._popen.poll() is not None

        until(ready_or_ended, f"{self._popen.args} to be ready")
        if self._popen.poll() is not None:
            raise RuntimeError(f"{self._popen.args} ended before it was ready; it wrote:\n{self._log.read_text()}")

    def end(self, number: signal.Signals) -> None:
        """Signal the first process (if it has not ended by itself), and wait until none is left."""
        self._popen.send_signal(number)
        ended, _, _ = select.select([self._alive], [], [], PATIENCE)
        if not ended:
            raise TimeoutError(f"{self._popen.args} still has processes {PATIENCE:.0f} s after {number.name}")
        self._popen.wait()
        os.close(self._alive)


def until(fact: Callable[[], bool], what: str) -> None:
    """Wait for a fact; it is an error if it does not come true."""
    deadline = time.monotonic() + PATIENCE
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.005)


def name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def server_programs() -> Path:
    """The folder of the newest server's programs."""
    found = [folder for folder in SERVERS.glob("*/bin") if folder.joinpath("initdb").exists()]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    if elsewhere := shutil.which("initdb"):
        return Path(elsewhere).resolve().parent
    raise Missing(f"PostgreSQL's initdb is neither in {SERVERS}/*/bin nor on PATH. Remedy: `make postgres`.")


def has_bouncer() -> bool:
    try:
        return bool(_bouncer_program())
    except Missing:
        return False


def _bouncer_program() -> str:
    path = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"  # often not on an ordinary user's PATH
    if program := shutil.which("pgbouncer", path=path):
        return program
    raise Missing("pgbouncer is neither on PATH nor in /usr/sbin. Remedy: `make postgres`.")


def short_folder() -> Path:
    """A new folder, owned by the user of the programs, in which a socket's path stays below the limit of 107 bytes."""
    parent = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="stk-", dir=parent if len(parent) < 60 else "/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    return folder


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=PATIENCE,
        **_started_in(folder),
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed with {done.returncode}: {done.stderr}")
    return done.stdout.strip()


def _started_in(folder: Path) -> dict[str, Any]:
    """How each program is started: in the cluster's folder, without the caller's PG* variables, never as root."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    return {"cwd": folder, "env": environment, **user}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
