from __future__ import annotations

import hashlib
import string

import pytest

from stoker.api.dialects.exosphere.ids import StateId, read, spell


def mac(text: str) -> str:
    return hashlib.sha256(b"key" + text.encode()).hexdigest()[:16]


async def proves(text: str, given: str) -> bool:
    return mac(text) == given


@pytest.mark.parametrize("state", [StateId(1, 1), StateId(2**43, 17), StateId(7, 2, 3)])
async def test_an_id_says_what_it_was_made_from(state: StateId) -> None:
    text = spell(state, mac)
    assert await read(text, proves) == state
    assert set(text) <= {*string.ascii_letters, *string.digits, "_", "-"}


async def test_changing_any_character_of_an_id_makes_it_unknown() -> None:
    text = spell(StateId(1234, 2, 1), mac)
    for at in range(len(text)):
        for other in "0159afAF-_":
            changed = text[:at] + other + text[at + 1 :]
            assert changed == text or await read(changed, proves) is None, changed


@pytest.mark.parametrize(
    "said", ["0-1", "1-0", "01-1", "1-01", "1-1-0", "+1-1", "1", "1-1-1-1", "٣-1", f"{2**63}-1", "1-1\n", ""]
)
async def test_only_one_spelling_is_an_id_even_with_the_right_mac(said: str) -> None:
    assert await read(f"{said}-{mac(said)}", proves) is None
