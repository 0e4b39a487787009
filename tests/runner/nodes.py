"""Nodes that another process imports."""

from __future__ import annotations

import asyncio
import ctypes
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
