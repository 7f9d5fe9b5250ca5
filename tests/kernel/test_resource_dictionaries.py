"""Resources as dictionaries: of many rows a value, of one, with values that no row has; chunks share one, or each has its own."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

import fastiam

A, B = "111111111111", "222222222222"
USER = f"arn:aws:iam::{A}:user/ana"
ROWS = 6_000
ALLOW = {"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:s3:::*/a*", "arn:aws:sqs:*:*:*7"]}
DENY = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "arn:aws:s3:::b1/*6"}
BROKEN = ["nonsense", "", "arn:aws:s3", None, "arn:aws:kms:eu-west-1:x:key/k"]


@pytest.fixture(scope="module")
def engine() -> fastiam.Engine:
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(USER, identity_policies=[{"Version": "2012-10-17", "Statement": [ALLOW]}])
    for i in range(3):
        directory.add_resource(f"arn:aws:s3:::b{i}", account=(A, A, B)[i], policy={"Version": "2012-10-17", "Statement": [DENY]})
    return directory.compile()


def values(rng: random.Random, n: int, *, broken: bool) -> list[str | None]:
    """Different resources, most of which are read as usual ones."""
    out: list[str | None] = [
        rng.choice((f"arn:aws:s3:::b{i % 5}/a{i}", f"arn:aws:sqs:eu-west-1:{(A, B)[i % 2]}:q{i}")) for i in range(n)
    ]
    for i, text in enumerate(BROKEN * broken):
        out[i * n // len(BROKEN)] = text
    return out


def chunk(rng: random.Random, texts: list[str | None], n_rows: int, n_used: int, index: pa.DataType) -> pa.DictionaryArray:
    """Rows that have some values of a dictionary, in no order, a few of them none."""
    used = rng.sample(range(len(texts)), n_used)
    codes = [None if rng.random() < 0.01 else used[i % n_used] for i in range(n_rows)]
    rng.shuffle(codes)
    return pa.DictionaryArray.from_arrays(pa.array(codes, index), pa.array(texts))


@pytest.mark.parametrize(
    ("n_values", "n_used"), [(400, 400), (4_000, 4_000), (4_000, 90), (20_000, 200), (20_000, 5_500), (40_000, 80)]
)
@pytest.mark.parametrize("chunks", ["one", "several of one dictionary", "each its own"])
@pytest.mark.parametrize("broken", [False, True], ids=["sound", "broken values"])
def test_resource_dictionary_equals_plain_column(
    engine: fastiam.Engine, n_values: int, n_used: int, chunks: str, broken: bool
) -> None:
    """Values that no row has may be anything."""
    rng = random.Random(f"{n_values} {n_used} {chunks} {broken}")
    index = pa.int32() if n_values > 4_000 else rng.choice((pa.int16(), pa.int32(), pa.int64()))
    texts = values(rng, n_values, broken=broken)
    if chunks == "one":
        column = pa.chunked_array([chunk(rng, texts, ROWS, n_used, index)])
    elif chunks == "each its own":
        column = pa.chunked_array([chunk(rng, texts[i * 100 :], ROWS // 4, n_used // 4, index) for i in range(4)])
    else:
        whole = chunk(rng, texts, ROWS, n_used, index)
        column = pa.chunked_array([whole[:10], whole[10:4_000], whole[4_000:]])
    plain = engine.decide_many(USER, "s3:GetObject", column.to_pylist(), on_error="deny", reasons=True)
    assert {0, 1, 2} <= set(plain.outcome.tolist())
    for threads in (1, 2):
        found = engine.decide_many(USER, "s3:GetObject", column, on_error="deny", reasons=True, threads=threads)
        for what in ("outcome", "layer", "statement"):
            assert list(getattr(found, what)) == list(getattr(plain, what))
        assert [(row, str(error)) for row, error in found.errors.items()] == [
            (row, str(error)) for row, error in plain.errors.items()
        ]
        assert found.summary() == plain.summary()
