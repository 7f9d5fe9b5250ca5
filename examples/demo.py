"""`make demo`: an invented organization, a million requests, and three decisions explained.

Everything runs the way a user's program runs: documents go into a `Directory`, the directory is compiled, and columns of
requests go through `Engine.decide_many`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from acme import Acme, Column, inline_statements

import fastiam
from fastiam.cli.console import write
from fastiam.model.explanation_text import explanation_lines


@contextmanager
def step(text: str) -> Iterator[None]:
    """Says what happens and how long it took."""
    print(f"{text:58s}", end="", flush=True)
    began = time.perf_counter()
    yield
    print(f"{time.perf_counter() - began:8.2f} s")


def directory_of(acme: Acme) -> fastiam.Directory:
    """Acme as a directory: shared policies, roles, and an SCP that keeps log groups."""
    directory = fastiam.Directory()
    for arn, document in acme.managed.items():
        directory.add_managed_policy(arn, document)
    for role in acme.roles:
        directory.add_principal(role.arn, identity_policies=[("Jobs", role.inline), *role.managed])
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Sid": "KeepLogs", "Effect": "Deny", "Action": ["logs:DeleteLogGroup", "logs:PutRetentionPolicy"], "Resource": "*"},
    ]
    guard = {"Version": "2012-10-17", "Statement": statements}
    for account in sorted({acme.account_of(role.team) for role in acme.roles}):
        directory.set_scps(account, [[("Guard", guard)]])
    return directory


def arrow(column: Column) -> Any:
    """A dictionary array, as a Parquet file or a categorical column gives it."""
    return pa.DictionaryArray.from_arrays(pa.array(column.codes), pa.array(column.values, pa.string()))


def one_of_each(decisions: fastiam.Decisions) -> Iterator[int]:
    """A row for each outcome."""
    for outcome in (fastiam.Outcome.ALLOW, fastiam.Outcome.EXPLICIT_DENY, fastiam.Outcome.IMPLICIT_DENY):
        rows = np.flatnonzero(decisions.outcome == outcome)
        if len(rows):
            yield int(rows[len(rows) // 2])


def main() -> None:
    """Runs the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roles", type=int, default=5_000)
    parser.add_argument("--requests", type=int, default=1_000_000)
    given = parser.parse_args()

    with step(f"generating {given.roles:,} roles and {given.requests:,} requests"):
        acme = Acme(given.roles)
        requests = acme.requests(given.requests)
    with step(f"reading {sum(1 for _ in inline_statements(acme.roles)):,} inline statements and {len(acme.managed)} policies"):
        directory = directory_of(acme)
    with step("compiling"):
        engine = directory.compile()

    columns = [arrow(column) for column in (requests.principal, requests.action, requests.resource)]
    context = {key: arrow(column) for key, column in requests.context.items()}
    with step("first pass over the columns"):
        engine.decide_many(*columns, context)
    began = time.perf_counter()
    engine.decide_many(*columns, context)
    taken = time.perf_counter() - began
    print(f"{'deciding them once more':58s}{taken:8.2f} s\n\n{len(requests) / taken:,.0f} decisions a second, one thread\n")

    explained = engine.decide_many(*columns, context, reasons=True)
    print(explained.summary())
    for row in one_of_each(explained):
        show(engine, requests, row)


def show(engine: fastiam.Engine, requests: Any, row: int) -> None:
    """Print one request and its explanation."""
    principal, action, resource = (
        column.values[column.codes[row]] for column in (requests.principal, requests.action, requests.resource)
    )
    given = {key: column.values[column.codes[row]] for key, column in requests.context.items()}
    print(f"\nrow {row:,}\n{principal}\n  {action} on {resource}")
    context = {key: value for key, value in given.items() if value is not None}
    for line in explanation_lines(engine.explain(principal, action, resource, context)):
        write([("  ", ""), *line] if line else "")


if __name__ == "__main__":
    main()
