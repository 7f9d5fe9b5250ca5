"""The header `x-forwarded-client-cert` of Envoy (G84): elements of the proxies on the way, the last one is that of our Envoy."""

from __future__ import annotations

import re
from typing import Final

HEADER: Final = "x-forwarded-client-cert"
_PAIR = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;\s]*))')


def last_uris(text: str) -> list[str] | None:
    """The values of `URI` in the last element; None if the header is malformed. Quoted values may have `,`, `;` and `=`."""
    uris: list[str] = []
    at = 0
    while True:
        found = _PAIR.match(text, at)
        if found is None:
            return None
        if found[1].lower() == "uri":
            uris.append(found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2]))
        at = found.end()
        if at == len(text):
            return uris
        if text[at] == ",":
            uris = []
            at += 1
            while at < len(text) and text[at] == " ":
                at += 1
        elif text[at] == ";":
            at += 1
        else:
            return None
