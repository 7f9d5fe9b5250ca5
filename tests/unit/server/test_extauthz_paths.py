"""A path that is decided has one meaning for each way in which services read paths (G87)."""

from __future__ import annotations

import posixpath
import re
import string
from urllib.parse import unquote_to_bytes

from hypothesis import example, given
from hypothesis import strategies as st

from fastiam.server.mapping import MappingError
from fastiam.server.protocols.extauthz.request_paths import canonical_path

_PIECES = [
    ".",
    "..",
    "/",
    "//",
    "\\",
    ";",
    "%",
    "%2e",
    "%2E",
    "%2f",
    "%252f",
    "%252e",
    "%25252e",
    "%5c",
    "%00",
    "%3b",
    "%3B",
    "%zz",
]
_PIECES += [
    "a",
    "Z",
    "~",
    "%41",
    "%7e",
    "*",
    ":",
    "%3A",
    "%2A",
    "%20",
    "é",
    "%C3%A9",
    "%c3%a9",
    "%c0%ae",
    "%ff",
    "?",
    "#",
    "+",
    "%2B",
]
paths = st.lists(st.sampled_from(_PIECES), max_size=8).map(lambda pieces: ("/" + "".join(pieces)).encode())


def _resolved(path: bytes) -> bytes:
    """A path as services read it that merge slashes, resolve dot segments and take a backslash for a slash."""
    text = re.sub(rb"/+", b"/", path.replace(b"\\", b"/"))
    tail = b"/" if text.endswith(b"/") and len(text) > 1 else b""
    return posixpath.normpath(text).removesuffix(b"/") + (tail or (b"/" if text == b"/" else b""))


def _readings(raw: bytes) -> list[bytes]:
    """The decoded path by services that decode before or after they resolve, and that cut parameters before or after that."""
    cut = re.sub(rb";[^/]*", b"", raw)
    return [
        unquote_to_bytes(raw),
        _resolved(unquote_to_bytes(raw)),
        unquote_to_bytes(_resolved(raw)),
        unquote_to_bytes(cut),
        _resolved(unquote_to_bytes(cut)),
    ]


@given(paths)
@example(b"/a/%2e%2e/b")
@example(b"/a%252fb")
@example(b"/a/..;/b")
def test_decided_path_has_one_reading(raw: bytes) -> None:
    try:
        text = canonical_path(raw)
    except MappingError as error:
        assert error.code == "ambiguous_path"
        return
    meant = unquote_to_bytes(text)
    assert _readings(raw) == [meant] * 5
    assert canonical_path(text.encode()) == text
    twice = unquote_to_bytes(meant)
    assert twice.count(b"/") == raw.count(b"/") and not {b".", b".."} & {*twice.split(b"/")}


@given(paths, paths)
def test_paths_with_one_meaning_have_one_text(one: bytes, two: bytes) -> None:
    try:
        texts = canonical_path(one), canonical_path(two)
    except MappingError:
        return
    assert (unquote_to_bytes(one) == unquote_to_bytes(two)) is (texts[0] == texts[1])


_SEGMENTS = st.lists(st.text(sorted(set(string.printable.strip()) - {"%"}), max_size=3), max_size=4)


@given(_SEGMENTS.map(lambda segments: "/" + "/".join(segments)))
@example("/.a/b..")
@example("/a/..")
def test_escaped_letters_give_the_text_of_the_plain_path(path: str) -> None:
    escaped = re.sub(r"[A-Za-z0-9.]", lambda found: f"%{ord(found[0]):02x}", path)
    assert _text_or_none(path) == _text_or_none(escaped)


def _text_or_none(path: str) -> str | None:
    try:
        return canonical_path(path.encode())
    except MappingError:
        return None
