"""A caller that is told to finish while its server is away."""

from __future__ import annotations

import socket

import pytest

from stoker.errors import Unavailable
from stoker.runner.client import Client
from stoker.selftest import caller
from stoker.selftest.caller import Caller


def test_what_it_calls_is_kept_up_until_its_last_call_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "PATIENCE_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        calling = Caller("caller0", Client(f"http://127.0.0.1:{server.getsockname()[1]}", "stk_x", "default"), "seed")
        calling.start()
        server.accept()[0].close()
    tended: list[bool] = []
    with pytest.raises(Unavailable, match="did not get through"):
        calling.finish(lambda: tended.append(calling.is_alive()))
    assert len(tended) > 3
    assert not calling.is_alive()
