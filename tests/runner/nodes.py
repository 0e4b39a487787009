"""Nodes that another process imports."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import logging
import os
import subprocess
import sys
import time
from typing import Any

from runner.fakes import FakeNode
from stoker.authoring.file import File
from stoker.authoring.signals import Cancelled, Prune, Requeue


def isolated(function: Any) -> FakeNode:
    return FakeNode(function, isolation=True)


@isolated
def iso_double(x: int) -> int:
    return 2 * x


@isolated
async def iso_async(x: int) -> int:
    await asyncio.sleep(0)
    return 3 * x


@isolated
def iso_says(task: Any) -> int:
    print("printed")
    os.write(2, b"from below\n")
    logging.getLogger("mine").info("logged")
    task.log("told")
    task.progress(0.5, "half")
    return os.getpid()


@isolated
def iso_tells(task: Any, *, fail: bool = False) -> dict[str, str]:
    """Says a secret in every way there is, and in pieces."""
    token = task.secrets["TOKEN"]
    print(f"printed {token}")
    for letter in token:
        os.write(1, letter.encode())
    logging.getLogger("mine").info("logged %s", token)
    task.log(token)
    task.progress(0.5, f"at {token}")
    task.log(f"environment: {token in str(os.environ)}, arguments: {token in str(sys.argv)}")
    if fail:
        raise ValueError(f"no {token}") from KeyError(token)
    return {"told": token, "large": "x" * 1_500_000 + token}


@isolated
def iso_segfault() -> None:
    ctypes.string_at(0)


@isolated
def iso_exit() -> None:
    os._exit(3)


@isolated
def iso_raises() -> None:
    raise ValueError("inside")


@isolated
def iso_requeues() -> None:
    raise Requeue(after="3s")


@isolated
def iso_prunes() -> None:
    raise Prune("nothing to do")


@isolated
def iso_cooperates(task: Any) -> None:
    task.progress(0.25, "looking")
    print("waiting", flush=True)
    while not task.cancelled:
        time.sleep(0.01)
    print("seen", flush=True)


@isolated
def iso_cleans_up() -> None:
    print("waiting", flush=True)
    try:
        while True:
            time.sleep(0.01)
    except Cancelled:
        print("cleaned", flush=True)
        raise


@isolated
def iso_stubborn() -> None:
    print(f"pid {os.getpid()}", flush=True)
    while True:
        try:
            time.sleep(60)
        except Cancelled:
            continue


@isolated
async def iso_waits() -> None:
    print("waiting", flush=True)
    await asyncio.sleep(3600)


def a_child() -> subprocess.Popen[bytes]:
    """A process that user code starts, and says so."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(f"child {child.pid}", flush=True)
    return child


@isolated
def iso_looks_with_a_child(task: Any) -> None:
    a_child()
    while True:
        task.raise_if_cancelled()
        time.sleep(0.01)


@isolated
def iso_cleans_up_after_its_child() -> None:
    child = None
    try:
        child = a_child()
        while True:
            time.sleep(0.01)
    except Cancelled:
        assert child is not None
        print(f"ended by {-child.wait(10)}", flush=True)
        raise


@isolated
def iso_ignores_all_with_a_child() -> None:
    a_child()
    while True:
        try:
            time.sleep(60)
        except Cancelled:
            continue


@functools.partial(FakeNode, isolation=True, stop_grace_s=0.3)
def iso_overdue_with_a_child() -> None:
    iso_ignores_all_with_a_child.function()


@isolated
def iso_leaves_a_child() -> int:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


@isolated
def iso_copies(source: dict[str, int], task: Any) -> dict[str, int]:
    copy = task.scratch / "copy.txt"
    copy.write_text(File.of(source["$artifact"]).read_text() + "!")
    return File(copy).to_handle()


@isolated
def iso_large() -> str:
    return "x" * (2 * 1024 * 1024)
