"""Pages of listings by `MaxItems` and `Marker` (G150)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import orjson

from fastiam.server.page_tokens import Page, PageTokenError, read_token, write_token
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call

T = TypeVar("T")
_DEFAULT, MAX_ITEMS = 100, 1_000
_MAX_RESULTS = 20
_PAGING = frozenset({"MaxItems", "Marker", "pageSize", "nextToken", "MaxResults", "NextToken"})


def page(
    call: Call,
    member: str,
    items: Iterable[T],
    name: Callable[[T], str],
    render: Callable[[T], Any],
    *,
    most: int = MAX_ITEMS,
) -> dict[str, Any]:
    """One page of a listing, in the order of the names.

    Parameters
    ----------
    member
        of the output shape, such as `Users`.
    name
        of an item, unique in the listing: the next page begins behind the last one.
    most
        items of a page, whatever `MaxItems` says.

    Raises
    ------
    ApiError
        `ValidationError`: the marker is not one of this listing.
    """
    shown, token = _page(call, items, name, min(call.parameters.get("MaxItems", _DEFAULT), most), "Marker")
    result: dict[str, Any] = {member: [render(item) for item in shown], "IsTruncated": token is not None}
    if token is not None:
        result["Marker"] = token
    return result


def token_page(
    call: Call, member: str, items: Iterable[T], name: Callable[[T], str], render: Callable[[T], Any]
) -> dict[str, Any]:
    """As `page`, with `nextToken` and `pageSize`, as Roles Anywhere has them.

    Raises
    ------
    ApiError
        `ValidationError`: the token is not one of this listing, or the size is not of 1 to 100.
    """
    size = call.parameters.get("pageSize", _DEFAULT)
    if not 1 <= size <= _DEFAULT:
        raise ApiError("ValidationError", f"pageSize must be 1 to {_DEFAULT}.")
    shown, token = _page(call, items, name, size, "nextToken")
    return {member: [render(item) for item in shown], "nextToken": token}


def organization_page(
    call: Call, member: str, items: Iterable[T], name: Callable[[T], str], render: Callable[[T], Any]
) -> dict[str, Any]:
    """As `page`, with `NextToken` and `MaxResults`, as Organizations has them."""
    size = call.parameters.get("MaxResults", _MAX_RESULTS)
    shown, token = _page(call, items, name, size, "NextToken")
    return {member: [render(item) for item in shown], "NextToken": token}


def _page(call: Call, items: Iterable[T], name: Callable[[T], str], limit: int, parameter: str) -> tuple[list[T], str | None]:
    """The items of one page, and the token of the next one."""
    listing, after = _listing(call), None
    if parameter in call.parameters:
        try:
            after = read_token(listing, call.parameters[parameter]).last
        except PageTokenError:
            raise ApiError("ValidationError", f"Invalid {parameter}.") from None
    ordered = sorted((name(item), number, item) for number, item in enumerate(items))
    rest = [entry for entry in ordered if after is None or entry[0] > after]
    shown = rest[:limit]
    token = write_token(listing, Page(limit, shown[-1][0])) if len(rest) > limit else None
    return [item for _, _, item in shown], token


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
