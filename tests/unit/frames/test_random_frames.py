"""`decide_frame` of every kind of frame equals `decide_many`, over random organisations."""

from __future__ import annotations

import json
import random
from typing import Any

import case_files as casefile
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from differential import World, _cells
from directory_generators import make_directory
from seeds import seeds

from fastiam.frames.arguments import ADDABLE, FrameArguments
from fastiam.frames.decide import decide_frame

ROWS = 40
ADDED = tuple(name for name in ADDABLE if name not in ("error", "unreadable"))


class Slices:
    """A table as an Arrow stream of slices of longer arrays."""

    def __init__(self, table: pa.Table, rng: random.Random) -> None:
        self._table, self._rng = table, rng

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        batch, at, batches = self._table.combine_chunks().to_batches()[0], 0, []
        while at < len(batch):
            size = self._rng.randrange(9)
            batches.append(batch.slice(at, size))
            at += size
        return pa.RecordBatchReader.from_batches(batch.schema, batches).__arrow_c_stream__()


def _frames(columns: dict[str, list[Any]], keys: dict[str, str], rng: random.Random) -> dict[str, Any]:
    table = pa.table({name: pa.array(values, _type_of(values)) for name, values in columns.items()})
    chunked = pa.concat_tables([table[:7], table[7:7], table[7:]])
    connection = duckdb.connect()
    connection.register("requests", chunked)
    fields = [table[name].combine_chunks() for name in keys.values()]
    return {
        "polars": pl.DataFrame(chunked),
        "polars lazy": pl.DataFrame(chunked).lazy(),
        "pandas": pd.DataFrame(columns, index=[rng.randrange(5) for _ in range(ROWS)], dtype=object),
        "pyarrow": chunked,
        "reader": chunked.to_reader(max_chunksize=11),
        "stream": Slices(chunked, rng),
        "duckdb": connection.sql("from requests"),
        "mapping": columns,
        "struct": table.append_column("keys", pa.StructArray.from_arrays(fields, names=list(keys))),
    }


def _type_of(values: list[Any]) -> pa.DataType:
    return pa.list_(pa.string()) if any(isinstance(value, list) for value in values) else pa.string()


def _python(frame: Any) -> dict[str, list[Any]]:
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pd.DataFrame):
        return {name: [None if pd.isna(value) else value for value in frame[name].astype(object)] for name in frame}
    if isinstance(frame, pa.RecordBatchReader):
        frame = frame.read_all()
    if hasattr(frame, "to_arrow_table"):
        frame = frame.to_arrow_table()
    return {name: list(values) for name, values in pa.table(frame).to_pydict().items()}


@pytest.mark.parametrize("seed", seeds(15, 30))
def test_frames_of_every_kind_equal_decide_many(seed: int) -> None:
    rng = random.Random(seed)
    world = World(make_directory(rng, ROWS))
    engine = world.compile()
    rows = world.rows
    sessions = {json.dumps(row["principal"]): world.subject(row) for row in rows if not isinstance(row["principal"], str)}
    contexts = [casefile.context_of(row) for row in rows]
    keys = {key: f"k{i}" for i, key in enumerate(world.keys)}
    columns: dict[str, list[Any]] = {
        "principal": [row["principal"] if isinstance(row["principal"], str) else json.dumps(row["principal"]) for row in rows],
        "action": [row["action"] for row in rows],
        "resource": [row["resource"] for row in rows],
        "owner": [row.get("resource_account") for row in rows],
        **{name: _cells(contexts, key) for key, name in keys.items()},
    }
    common: dict[str, Any] = {"sessions": sessions, "unknown": world.unknown, "now": world.now, "on_error": "deny"}
    found = engine.decide_many(
        columns["principal"],
        columns["action"],
        columns["resource"],
        {key: columns[name] for key, name in keys.items()},
        resource_accounts=columns["owner"],
        reasons=True,
        **common,
    )
    expected = {
        "outcome": [row.outcome.name for row in found],
        "allowed": found.allowed.tolist(),
        **{name: list(getattr(found, name)) for name in ("layer", "policy", "sid", "reason", "depends_on")},
        "assumed_owner": found.assumed_owner.tolist(),
    }
    for kind, frame in _frames(columns, keys, rng).items():
        context: Any = "keys" if kind == "struct" else keys
        arguments = FrameArguments(context=context, resource_account="owner", add=ADDED, keep=False, **common)
        decided = _python(decide_frame(engine, frame, arguments))
        errors, codes = decided.pop("error"), decided.pop("error_code")
        assert decided == {name: expected[name] for name in decided}, kind
        assert set(decided) == set(expected)
        assert [row for row, error in enumerate(errors) if error is not None] == list(found.errors), kind
        assert codes == list(found.error_code), kind


def test_random_frames_have_every_outcome() -> None:
    outcomes: set[str] = set()
    for seed in range(12):
        world = World(make_directory(random.Random(seed), ROWS))
        outcomes |= {"ERROR" if answer.error else answer.decision.outcome.name for answer in world.expected}
    assert outcomes >= {"ALLOW", "IMPLICIT_DENY", "EXPLICIT_DENY", "ERROR"}
