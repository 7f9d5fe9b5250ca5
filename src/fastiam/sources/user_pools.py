"""Reader of the user pools of the directory format; `directory.user_pool_export` has the names of their settings."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import MISSING
from datetime import datetime
from typing import Any

from fastiam.directory.account_model import AccountModel
from fastiam.directory.user_pool_export import PARTS, settings_of
from fastiam.directory.user_pool_records import Attribute, PasswordRules, Pool, Provider
from fastiam.sources.located_values import LocatedValue


def add_user_pools(model: AccountModel, root: LocatedValue) -> None:
    """Read user pools. Their keys are made when they are needed."""
    for node in root.list_of("user_pools"):
        id_ = node.need("id").text()
        account = model.tables.accounts.get(node.need("account").text())
        pool = _record(node, Pool, PARTS, region=id_.partition("_")[0], partition="aws" if account is None else account.partition)
        parts = [
            _record(part, kind, pool=id_) if kind is not Provider else _record(part, kind, pool=id_, unique_id=str(uuid.uuid4()))
            for table, kind in PARTS.items()
            for part in node.list_of(table)
        ]
        with node.writing(model):
            model.add_user_pool(pool, parts)


def _record(node: LocatedValue, kind: type, more: Mapping[str, Any] = {}, **values: Any) -> Any:
    """A record of the settings of an object, and of `values`. `more` are other names that it may have."""
    settings = settings_of(kind)
    node.object([*(setting.name for setting in settings), *more])
    for setting in settings:
        if node.get(setting.name) is not None:
            values[setting.field] = _READERS[setting.type](node, setting.name)
        elif setting.default is MISSING:
            raise node.error(f"`{setting.name}` is missing")
    return kind(**values)


def _texts(node: LocatedValue, name: str) -> tuple[str, ...]:
    return tuple(item.text() for item in node.list_of(name))


def _whole(node: LocatedValue, name: str) -> int:
    return node.whole_of(name, 0)


_READERS: dict[Any, Callable[[LocatedValue, str], Any]] = {
    str: LocatedValue.text_of,
    bool: LocatedValue.flag_of,
    int: _whole,
    int | None: _whole,
    datetime: LocatedValue.instant_of,
    datetime | None: LocatedValue.instant_of,
    tuple[str, ...]: _texts,
    tuple[str, ...] | None: _texts,
    Mapping[str, str]: lambda node, name: {key: value.text() for key, value in node.need(name).members()},
    PasswordRules: lambda node, name: _record(node.need(name), PasswordRules),
    tuple[Attribute, ...]: lambda node, name: tuple(_record(item, Attribute) for item in node.list_of(name)),
}
