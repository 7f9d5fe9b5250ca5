"""Pages of listings by `MaxItems` and `Marker` (G150)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import orjson

from fastiam.server.page_tokens import Page, PageTokenError, read_token, write_token
from fastiam.server.protocols.aws.calls import Call
from fastiam.server.protocols.aws.errors import ApiError

T = TypeVar("T")
_DEFAULT = 100
_PAGING = frozenset({"MaxItems", "Marker"})


def page(call: Call, member: str, items: Iterable[T], name: Callable[[T], str], render: Callable[[T], Any]) -> dict[str, Any]:
    """One page of a listing, in the order of the names.

    Parameters
    ----------
    member : of the output shape, such as `Users`.
    name : of an item, unique in the listing: the next page begins behind the last one.

    Raises
    ------
    ApiError: `ValidationError`: the marker is not one of this listing.
    """
    limit, after = call.parameters.get("MaxItems", _DEFAULT), None
    listing = _listing(call)
    if "Marker" in call.parameters:
        try:
            after = read_token(listing, call.parameters["Marker"]).last
        except PageTokenError:
            raise ApiError("ValidationError", "Invalid Marker.") from None
    ordered = sorted((name(item), number, item) for number, item in enumerate(items))
    rest = [entry for entry in ordered if after is None or entry[0] > after]
    shown = rest[:limit]
    result: dict[str, Any] = {member: [render(item) for _, _, item in shown], "IsTruncated": len(rest) > limit}
    if len(rest) > limit:
        result["Marker"] = write_token(listing, Page(limit, shown[-1][0]))
    return result


def same(item: T) -> T:
    """An item that is its own name, or its own member of the output."""
    return item


def tag_key(tag: Mapping[str, str]) -> str:
    """The name of a tag in a listing."""
    return tag["Key"]


def _listing(call: Call) -> bytes:
    """What identifies a listing: operation, account and filters."""
    filters = {name: value for name, value in call.parameters.items() if name not in _PAGING}
    return orjson.dumps([call.service.name, call.operation.name, call.account, filters], option=orjson.OPT_SORT_KEYS)
