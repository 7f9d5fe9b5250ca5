"""Page tokens: valid for their own listing, and for nothing that was changed (G72, G150)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastiam.server.page_tokens import Page, PageTokenError, read_token, write_token


@given(st.binary(), st.integers(0, 2**32 - 1), st.text(max_size=200))
def test_token_read_gives_the_page_written(listing, limit, last):
    assert read_token(listing, write_token(listing, Page(limit, last))) == Page(limit, last)


def test_token_of_another_listing_is_refused():
    token = write_token(b"ListUsers", Page(2, "ana"))
    with pytest.raises(PageTokenError, match="another listing"):
        read_token(b"ListRoles", token)


@given(st.integers(0, 10_000), st.sampled_from("ABCabc012-_"))
def test_token_with_one_other_character_is_refused(position, character):
    token = write_token(b"ListUsers", Page(2, "ana"))
    position %= len(token)
    changed = token[:position] + character + token[position + 1 :]
    assert read_or_none(changed) == (Page(2, "ana") if changed == token else None)


def read_or_none(token):
    try:
        return read_token(b"ListUsers", token)
    except PageTokenError:
        return None


@pytest.mark.parametrize("token", ["", "=", "ä", "A" * 5_000, "AAAA", "not a token", "\ud800"])
def test_token_of_any_other_text_is_refused(token):
    with pytest.raises(PageTokenError):
        read_token(b"ListUsers", token)


def test_token_of_a_long_name_stays_within_markers():
    assert len(write_token(b"ListPolicies", Page(1_000, "n" * 128))) <= 320
