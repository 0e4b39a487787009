"""What the audit log keeps of a server's settings."""

from __future__ import annotations

from pathlib import Path

from stoker.bootstrap.serving import told
from stoker.config import Settings

SECRET = "hush-hush"


def test_the_settings_of_a_server_are_told_without_secrets() -> None:
    url = f"postgresql://stoker:{SECRET}@db.example.org/stoker"
    settings = Settings(data=Path("/d"), port=1, database_url=url, token=SECRET, secret_key=SECRET, keep="age=30d")
    found = told(settings, insecure=False)
    assert SECRET not in repr(found)
    assert (found["port"], found["data"], found["keep"], found["audit_days"]) == (1, "/d", "age=30d", 365)
    assert str(found["database_url"]).endswith("@db.example.org/stoker")
