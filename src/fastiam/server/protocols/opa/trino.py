"""Inputs of Trino, as requests to the engine (G111 to G116): one principal and action, and the ARNs of its resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastiam.model.arn import is_account
from fastiam.server.identity import Identity
from fastiam.server.mapping import (
    MAX_ID,
    EntityMapping,
    Facts,
    KnownRecords,
    MappedPrincipal,
    MappingError,
    PrincipalTemplate,
    config_error,
    encode,
    facts_of_call,
    read_members,
    read_text,
)
from fastiam.server.protocols.opa.opa_section import TrinoSection

ROW_FILTERS: Final = "GetRowFilters"
COLUMN_MASK: Final = "GetColumnMask"
SECRET: Final = "trino:credential/"
"""Prefix of condition keys that have secrets; they are not logged."""

_WITHOUT_RESOURCE: Final = frozenset({"ExecuteQuery", "ReadSystemInformation", "WriteSystemInformation"})
_WITH_TARGET: Final = frozenset({"RenameSchema", "RenameTable", "RenameView", "RenameMaterializedView"})
_SCHEMA_NAMES: Final = ("catalogName", "schemaName")
_ROOT: Final = "arn:aws:trino:::"
_PLACEHOLDERS: Final = ("user",)
_ACTIONS: Final = EntityMapping()

Members = Mapping[str, Any]


class Trino:
    """`[opa.trino]`, compiled.

    Raises
    ------
    SourceError
        a template or the owner is wrong.
    """

    def __init__(self, section: TrinoSection, *, has_directory: bool) -> None:
        at = "opa.trino"
        role, session = section.session_of, None if section.session_of is None else "{user}"
        if role is not None and section.known:
            raise config_error("sessions have no records", f"{at}.known", "leave `known` out")
        known = section.known is not False and role is None
        if known and not has_directory:
            hint = "write `known = false`, or serve a folder or a store: a saved engine has no records"
            raise config_error("users are `known`, but there is no directory with records", f"{at}.known", hint)
        self._principal = PrincipalTemplate(
            _PLACEHOLDERS, at, principal=section.principal, role=role, session=session, known=known, encoding=section.encoding
        )
        if section.owner is not None and not is_account(section.owner):
            raise config_error(f"`{section.owner}` is not an account", f"{at}.owner", "write 12 digits")
        self.owner = section.owner
        self.has_no_filters = section.row_filters == "none"
        self.has_no_masks = section.column_masks == "none"

    def who(self, input_: Members, records: KnownRecords) -> MappedPrincipal:
        """The principal of an input.

        Raises
        ------
        MappingError
            there is none.
        """
        user = read_text(_identity(input_), "user", "$.context.identity")
        return self._principal.make({"user": user}, records, at="$.context.identity.user")


@dataclass(frozen=True, slots=True)
class Asked:
    """Action and context of an input."""

    operation: str
    action: str
    members: Members
    """The object `action`."""
    facts: Facts


def operation_of(input_: Any) -> str | None:
    """The operation of an input of Trino; None if it is not one."""
    action = input_.get("action") if type(input_) is dict else None
    operation = action.get("operation") if type(action) is dict else None
    return operation if type(operation) is str else None


def read_asked(input_: Members, identity: Identity) -> Asked:
    """What an input asks, with the facts that the identity may state.

    Raises
    ------
    MappingError
        a part is missing, or cannot be mapped.
    """
    members = _required(input_, "action", "$")
    operation = read_text(members, "operation", "$.action", 128)
    action = _ACTIONS.action_name(f"trino:{operation}", None, "$.action.operation")
    stated = facts_of_call(identity, _context(input_, members))
    return Asked(operation, action, members, stated)


def resources_of(asked: Asked) -> list[str]:
    """The resources that must all be allowed (G112).

    Raises
    ------
    MappingError
        a resource has no ARN.
    """
    resource = read_members(asked.members, "resource", "$.action")
    target = read_members(asked.members, "targetResource", "$.action")
    if resource is None:
        if asked.operation not in _WITHOUT_RESOURCE or target is not None:
            raise MappingError("unmapped_resource", "the operation has no resource", "$.action.resource")
        return ["*"]
    found = arns(resource, "$.action.resource")
    if target is not None:
        found += arns(target, "$.action.targetResource")
    elif asked.operation in _WITH_TARGET:
        raise MappingError("unmapped_resource", "the operation has no target", "$.action.targetResource")
    return found


def arns(resource: Members, at: str) -> list[str]:
    """The ARNs of a resource: one for each column of a table with columns, else one.

    Raises
    ------
    MappingError
        no known kind of resource, more than one, or a name is missing.
    """
    kinds = [kind for kind in _ARNS if resource.get(kind) is not None]
    if kinds == ["table", "function"]:
        table, function = _required(resource, "table", at), _required(resource, "function", at)
        name = read_text(function, "functionName", f"{at}.function")
        return [f"{_table(table, f'{at}.table')}/procedure/{encode(name)}"]
    if len(kinds) != 1:
        raise MappingError("unmapped_resource", "the resource is not of one known kind", at)
    kind = kinds[0]
    members, place = _required(resource, kind, at), f"{at}.{kind}"
    if kind == "table" and members.get("columns") is not None:
        whole = _table(members, place)
        return [f"{whole}/column/{name}" for name in _columns(members, place)] or [whole]
    return [_ARNS[kind](members, place)]


def arns_of_tables(items: Sequence[Any]) -> list[str] | None:
    """The ARNs of tables, as `arns` gives them for each item; None unless every item is a table without columns and a plain name.

    PERF: a batch of Trino has all tables of a schema. The names of schemas are read once, those of tables together.
    """
    try:
        tables = [item["table"] for item in items if type(item) is dict and len(item) == 1]
        if len(tables) != len(items) or any(len(table) != 3 for table in tables):
            return None
        schemas = [(table["catalogName"], table["schemaName"]) for table in tables]
        names: list[str] = [table["tableName"] for table in tables]
        prefixes = {pair: _schema(dict(zip(_SCHEMA_NAMES, pair, strict=True)), "") for pair in set(schemas)}
        if not names or not all(names) or max(map(len, names)) > MAX_ID:
            return None
        together = ",".join(names)
        if encode(together) != together:
            return None
    except (TypeError, KeyError, UnicodeEncodeError, MappingError):  # another kind, or a fault: `arns` finds it
        return None
    return [f"{prefixes[pair]}/table/{name}" for pair, name in zip(schemas, names, strict=True)]


def table_of(resource: Any) -> Members:
    """The only member of a resource that is a table; for `FilterColumns`.

    Raises
    ------
    MappingError
        it has none.
    """
    if type(resource) is not dict or [kind for kind in _ARNS if resource.get(kind) is not None] != ["table"]:
        raise MappingError("bad_type", "the resource is not a table", "$.action.filterResources")
    return _required(resource, "table", "$.action.filterResources")


# -- ARNs -----------------------------------------------------------------------------------------------------------------


def _name(members: Members, name: str, at: str) -> str:
    try:
        return encode(read_text(members, name, at))
    except UnicodeEncodeError:
        raise MappingError("bad_character", f"`{name}` has a lone surrogate", f"{at}.{name}") from None


def _catalog(members: Members, at: str, name: str = "catalogName") -> str:
    return f"{_ROOT}catalog/{_name(members, name, at)}"


def _schema(members: Members, at: str) -> str:
    return f"{_catalog(members, at)}/schema/{_name(members, 'schemaName', at)}"


def _table(members: Members, at: str) -> str:
    return f"{_schema(members, at)}/table/{_name(members, 'tableName', at)}"


def _function(members: Members, at: str) -> str:
    has_schema = members.get("catalogName") is not None or members.get("schemaName") is not None
    root = f"{_schema(members, at)}/" if has_schema else _ROOT
    return f"{root}function/{_name(members, 'functionName', at)}"


_ARNS: Final[Mapping[str, Callable[[Members, str], str]]] = {
    "catalog": lambda members, at: _catalog(members, at, "name"),
    "schema": _schema,
    "table": _table,
    "column": lambda members, at: f"{_table(members, at)}/column/{_name(members, 'columnName', at)}",
    "function": _function,
    "user": lambda members, at: f"{_ROOT}user/{_name(members, 'user', at)}",
    "systemSessionProperty": lambda members, at: f"{_ROOT}system-session-property/{_name(members, 'name', at)}",
    "catalogSessionProperty": lambda members, at: (
        f"{_catalog(members, at)}/session-property/{_name(members, 'propertyName', at)}"
    ),
}


def _columns(table: Members, at: str) -> list[str]:
    columns = table["columns"]
    if type(columns) is not list:
        raise MappingError("bad_type", "`columns` is not an array", f"{at}.columns")
    return [_name({"columns": name}, "columns", at) for name in columns]


# -- context --------------------------------------------------------------------------------------------------------------


def _required(members: Members, name: str, at: str) -> Members:
    found = read_members(members, name, at)
    if found is None:
        raise MappingError("missing", f"`{name}` is missing", f"{at}.{name}")
    return found


def _identity(input_: Members) -> Members:
    return _required(_required(input_, "context", "$"), "identity", "$.context")


def _context(input_: Members, action: Members) -> dict[str, Any]:
    """The context that an input states, by condition key (G111)."""
    context, identity = _required(input_, "context", "$"), _identity(input_)
    stated: dict[str, Any] = {"trino:groups": identity.get("groups"), "trino:queryId": context.get("queryId")}
    for key, members in (
        ("property", read_members(context, "properties", "$.context")),
        ("credential", read_members(identity, "extraCredentials", "$.context.identity")),
    ):
        for name, value in (members or {}).items():
            stated[f"trino:{key}/{name}"] = value
    grantee = read_members(action, "grantee", "$.action") or {}
    for name in ("name", "type"):
        stated[f"trino:grantee/{name}"] = grantee.get(name)
    return stated
