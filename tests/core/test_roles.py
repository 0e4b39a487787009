"""What a token may do: its own scopes and those of its role."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stoker.core.roles import BUILT_IN, SCOPES, effective

SETS = st.sets(st.sampled_from(SCOPES))


@given(SETS, SETS)
def test_a_token_may_do_what_it_or_its_role_says_and_nothing_else(own: set[str], kept: set[str]) -> None:
    assert set(effective(own, "night-shift", kept)) == own | kept
    assert set(effective(own, None, kept)) == own


@given(SETS, SETS, st.sampled_from(sorted(BUILT_IN)))
def test_a_built_in_role_is_what_the_code_says_whatever_is_kept(own: set[str], kept: set[str], role: str) -> None:
    assert set(effective(own, role, kept)) == own | set(BUILT_IN[role])


def test_only_the_role_admin_is_given_admin() -> None:
    assert [name for name, scopes in BUILT_IN.items() if "admin" in scopes] == ["admin"]
    assert all(set(scopes) <= set(SCOPES) for scopes in BUILT_IN.values())
