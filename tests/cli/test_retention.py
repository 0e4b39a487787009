"""Retention on the command line and in the client."""

from __future__ import annotations

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded


@pytest.mark.usefixtures("pipeline")
def test_a_rule_is_tried_set_shown_and_cleared(stoker: Stoker, server: Embedded) -> None:
    assert stoker("graphs", "push", "pipeline.py:shares").code == 0
    with server.client() as client:
        run = client.trigger("shares", x=7).id
        client.call(client.api.cancel(run))
        assert client.call(client.api.run(run, wait_s=30)).state == "CANCELLED"
    tried = stoker("retention", "set", "--count", "0", "--dry-run").out
    assert "the newest 0" in tried
    assert "beyond that would be deleted" in tried
    assert "everything" in stoker("retention", "show").out
    assert "--yes" in stoker("retention", "set", "--count", "0").err
    said = stoker("retention", "set", "--age", "30d", "--failed-age", "90d").out
    assert "for 30d after the end, what failed or was cancelled for 90d" in said
    assert stoker("retention", "show", "-o", "json").json["source"] == "namespace"
    assert "everything" in stoker("retention", "clear").out
    with server.client() as client:
        assert client.retention.set(count=5, dry_run=True).keep.count == 5
        assert client.retention.show().source == "default"


def test_what_to_keep_must_be_said(stoker: Stoker) -> None:
    assert "what to keep is not said" in stoker("retention", "set").err
    assert "one or the other" in stoker("retention", "set", "--everything", "--age", "1d").err
    assert "Write one like 30d" in stoker("retention", "set", "--age", "soon").err
