"""Each form of a filter, run over rows of text, beside `decide_many`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import filter_evaluator
import numpy as np

import fastiam

ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/etl"
Rows = Mapping[str, Sequence["str | None"]]


def json_form(asked: fastiam.Filter, rows: Rows) -> list[Any]:
    node = asked.to_dict()["filter"]
    return [filter_evaluator.evaluate(node, dict(zip(rows, values, strict=True))) for values in zip(*rows.values(), strict=True)]


def polars_form(asked: fastiam.Filter, rows: Rows) -> list[Any]:
    import polars as pl

    return pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String)).with_columns(found=asked.polars())["found"].to_list()


def duckdb_form(asked: fastiam.Filter, rows: Rows) -> list[Any]:
    import duckdb
    import pyarrow as pa

    table = pa.table({name: pa.array(values, pa.string()) for name, values in rows.items()})
    return [row[0] for row in duckdb.from_arrow(table).project(asked.sql()).fetchall()]


def sqlite_form(asked: fastiam.Filter, rows: Rows, collation: str = "BINARY") -> list[Any]:
    con = sqlite3.connect(":memory:")
    columns = ", ".join(f'"{name}" TEXT COLLATE {collation}' for name in rows)
    con.execute(f"CREATE TABLE requests ({columns})")
    con.executemany(f"INSERT INTO requests VALUES ({', '.join('?' * len(rows))})", zip(*rows.values(), strict=True))
    found = [row[0] for row in con.execute(f"SELECT {asked.sql('sqlite')} FROM requests ORDER BY rowid")]
    con.close()
    return [bool(value) if value in (0, 1) else value for value in found]


FORMS: dict[str, Callable[[fastiam.Filter, Rows], list[Any]]] = {
    "json": json_form,
    "polars": polars_form,
    "duckdb": duckdb_form,
    "sqlite": sqlite_form,
}


def decisions(
    engine: fastiam.Engine, subject: Any, action: str, rows: Rows, resources: Sequence[str | None], **given: Any
) -> list[bool]:
    """What `decide_many` allows. `given`: the arguments of `Engine.filter`."""
    n = len(resources)
    context = {key: column(rows[name]) for key, name in given.get("columns", {}).items()}
    for key, value in given.get("context", {}).items():
        context[key] = np.empty(n, dtype=object)
        context[key][:] = [value] * n if not isinstance(value, list) else None
        for row in range(n if isinstance(value, list) else 0):
            context[key][row] = value
    account = given.get("resource_account")
    accounts = account.value if isinstance(account, fastiam.Lit) else None if account is None else column(rows[account])
    sessions = {"session": subject} if isinstance(subject, fastiam.Session) else None
    return engine.decide_many(
        "session" if sessions else subject, action, column(resources), context, resource_accounts=accounts, sessions=sessions,
        now=given.get("now"), on_error="deny",
    ).allowed.tolist()  # fmt: skip


def column(values: Sequence[Any]) -> Any:
    """A NumPy column of objects."""
    found = np.empty(len(values), dtype=object)
    found[:] = [*values]
    return found


def checked(
    engine: fastiam.Engine,
    subject: Any,
    action: str,
    rows: Rows,
    *,
    forms: Sequence[str] = tuple(FORMS),
    resources: Sequence[str | None] | None = None,
    **given: Any,
) -> tuple[fastiam.Filter, list[bool]]:
    """The filter and the allowed rows, after the comparison of each form, of the prefilter and of `apply` with the decisions.

    `resources`: the ARNs of a template.
    """
    asked = engine.filter(subject, action, **given)
    allowed = decisions(engine, subject, action, rows, rows["resource"] if resources is None else resources, **given)
    for form in forms:
        assert FORMS[form](asked, rows) == allowed, form
    kept = json_form(asked.prefilter, rows)
    assert [row for row, is_allowed in enumerate(allowed) if is_allowed and not kept[row]] == []
    listed = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    assert asked.apply(listed) == [row for row, is_allowed in zip(listed, allowed, strict=True) if is_allowed]
    return asked, allowed


# -- small directories ----------------------------------------------------------------------------------------------------------


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"} | s for s in statements]}


def allow(resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Resource": resource} | more


def deny(resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Resource": resource} | more


def engine_of(
    *statements: dict[str, Any], name: str = ROLE, options: dict[str, Any] | None = None, **more: Any
) -> fastiam.Engine:
    directory = fastiam.Directory()
    directory.add_account(ACCOUNT)
    directory.add_principal(name, identity_policies=[policy(*statements)], **more)
    return directory.compile(**(options or {}))
