"""What may be asked of the audit log."""

from __future__ import annotations

import pytest

from stoker.core.audit_filter import TEXTS, AuditWanted, audit_terms
from stoker.core.duration import SECOND
from stoker.core.filter import render
from stoker.errors import Invalid

NOW = 1_800_000_000 * SECOND


def wanted(text: str) -> AuditWanted:
    return AuditWanted(audit_terms(text), NOW)


def test_every_field_is_understood_and_comes_back_as_text() -> None:
    text = (
        "verb=cancel_run,retry_run subject=run:12 token!=3 name=anna namespace=default outcome=refused code=forbidden "
        "address=10.0.0.7 request=abc at>2d id>=5"
    )
    assert render(audit_terms(text)) == text
    found = wanted(text)
    assert found.subjects == ["run:12"]
    assert (found.token.only, found.token.never, found.outcomes) == (None, {3}, ["refused"])
    assert dict(zip(TEXTS, found.texts, strict=True))["verb"].only == {"cancel_run", "retry_run"}
    assert found.at.low == NOW - 2 * 86_400 * SECOND + 1


def test_without_terms_everything_is_wanted() -> None:
    found = wanted("")
    assert found.subjects is None
    assert found.outcomes == ["done", "unchanged", "refused"]
    assert all(field.free for field in [found.at, found.id, found.token, *found.texts])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("subject!=run:12", "'subject' is compared by =, not by !="),
        ("outcome=maybe", "one of done, unchanged, refused"),
        ("token=anna", "the number of a token"),
        ("who=anna", "there is no field 'who'"),
        ("refused", "write outcome=refused"),
    ],
)
def test_a_wrong_term_says_what_is_expected(text: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        wanted(text)
    assert says in str(refused.value)
    assert "such as `verb=cancel_run at>2d`" in str(refused.value)
