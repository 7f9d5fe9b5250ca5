"""`[bulk]` of the configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fastiam.server import protocol

MAX_THREADS = 64


class Section(protocol.Section, frozen=True, kw_only=True):
    """`[bulk]`."""

    streams: Annotated[int, msgspec.Meta(ge=1)] = 4
    """Requests of `/v1/decisions` at once; a further one gets 503."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=MAX_THREADS)] = 1
    """Most threads that a request may ask for with `threads`."""
