"""Limits of containers are quantities as Kubernetes reads them."""

from __future__ import annotations

import pytest

from stoker.api.dialects.heat.nouns import runnertype


@pytest.mark.parametrize("text", ["", "1", "500m", "0.5", "1Gi", "1.5Mi", "2e3", "100k", ".5"])
def test_a_quantity_is_taken(text: str) -> None:
    assert runnertype.fault(runnertype.Record(container_image="x", cpu_limit=text)) is None


@pytest.mark.parametrize("text", ["lots", "1 Gi", "Gi", "1gi", "1e", "0x1", "1Gi\n"])
def test_anything_else_is_refused(text: str) -> None:
    assert runnertype.fault(runnertype.Record(container_image="x", memory_limit=text)) is not None
