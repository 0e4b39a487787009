"""Where the server is and who asks, for runners and clients: an argument, else the environment, else the default."""

from __future__ import annotations

import os

DEFAULT_URL = "http://127.0.0.1:5220"  # where `stoker server start` and `stoker dev` listen
DEFAULT_NAMESPACE = "default"


def url_of(given: str | None) -> str:
    return given or os.environ.get("STOKER_URL") or DEFAULT_URL


def token_of(given: str | None) -> str | None:
    return given or os.environ.get("STOKER_TOKEN") or None


def namespace_of(given: str | None) -> str:
    return given or os.environ.get("STOKER_NAMESPACE") or DEFAULT_NAMESPACE
