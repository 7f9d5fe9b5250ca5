"""The page of a listing that a request asks for, by `limit` and `token` (G72)."""

from __future__ import annotations

from typing import Final, NamedTuple

from fastiam.server.mapping.faults import MappingError
from fastiam.server.page_tokens import Page, PageTokenError, read_token, write_token

_NO_LIMIT: Final = 0  # of a token: the next page has the limit that its request states


class WantedPage(NamedTuple):
    """The page after the entry `last`, with at most `limit` entries; None: as many as one answer may have."""

    limit: int | None
    last: str | None
    listing: bytes

    def token_after(self, last: str) -> str:
        """The token of the page that begins after an entry."""
        return write_token(self.listing, Page(self.limit or _NO_LIMIT, last))


def wanted_page(limit: int | None, token: object, listing: bytes, path: str) -> WantedPage:
    """The page of a limit, which is checked already, and of the token at `path`.

    Raises
    ------
    MappingError
        `bad_page_token`: damaged, of another listing, or of another limit.
    """
    if token is None or token == "":
        return WantedPage(limit, None, listing)
    if type(token) is not str:
        raise MappingError("bad_page_token", "`token` is not text", path)
    try:
        page = read_token(listing, token)
    except PageTokenError as error:
        raise MappingError("bad_page_token", str(error), path) from None
    if limit is not None and page.limit not in (limit, _NO_LIMIT):
        raise MappingError("bad_page_token", "the page token is of another limit", path)
    return WantedPage(page.limit or limit, page.last, listing)
