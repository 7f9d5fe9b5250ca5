"""The cases of the HTTP edge as bytes, whole or in segments (`cases/server_edge.json`)."""

from __future__ import annotations

import itertools
import json
from typing import Any

from case_files import CASES

EDGE: list[dict[str, Any]] = json.loads((CASES / "server_edge.json").read_text())


def segments(case: dict[str, Any]) -> list[bytes]:
    """The bytes to send, as written: a segment is a text, or a list of texts and of `[text, count]`."""
    made = []
    for segment in case["send"]:
        parts = [segment] if isinstance(segment, str) else segment
        made.append("".join(part if isinstance(part, str) else part[0] * part[1] for part in parts).encode("latin-1"))
    return made


def cut(data: bytes, count: int) -> list[bytes]:
    """Bytes in one segment, in two (head and body), or in three (with the body in halves)."""
    head = data.find(b"\r\n\r\n") + 4
    cuts = [head, head + (len(data) - head) // 2][: count - 1]
    return [data[a:b] for a, b in itertools.pairwise((0, *cuts, len(data)))]
