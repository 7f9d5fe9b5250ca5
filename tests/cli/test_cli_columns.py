"""Columns of `fastiam authorize`: unused ones are reported, and no name has two values."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fastiam
from fastiam.cli.main import run

ACCOUNT = "111111111111"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
KEY = "arn:aws:s3:::bkt/key"
REQUEST = ["principal", "action", "resource"]
ROW = [ANA, "s3:GetObject", KEY]
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        },
        {
            "Effect": "Deny",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::${aws:PrincipalTag/home}/*",
            "Condition": {
                "StringEquals": {"aws:ResourceTag/cost center": "x", "kiosk:Stage": "dead"},
                "ForAnyValue:StringEquals": {"aws:TagKeys": "no"},
            },
        },
    ],
}

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `fastiam authorize` in a folder with policies: exit code, and standard error."""
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[POLICY])
    directory.add_resource("arn:aws:s3:::bkt", account=ACCOUNT)
    directory.dump(tmp_path / "policies.json")
    monkeypatch.chdir(tmp_path)

    def call(requests: str, *more: str) -> tuple[int, str]:
        code = run(["authorize", "--policies", "policies.json", "--requests", requests, "--out", "out.jsonl", *more])
        return code, capsys.readouterr().err

    return call


def outcomes() -> list[str]:
    return [json.loads(line)["outcome"] for line in Path("out.jsonl").read_text().splitlines()]


def write(path: str, names: list[str], *rows: list[str | None]) -> None:
    """A file of text columns; names may be equal."""
    columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(names))]
    table = pa.Table.from_arrays(columns, names=names)
    if path.endswith(".parquet"):
        pq.write_table(table, path)
    elif path.endswith(".arrow"):
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    elif path.endswith(".arrows"):
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    else:
        Path(path).write_text("\n".join(",".join(cell or "" for cell in row) for row in [names, *rows]) + "\n")


COLUMNAR = ["r.csv", "r.parquet", "r.arrow", "r.arrows"]

# -- names that occur twice --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("twin", ["aws:SourceIp", "resource"])
@pytest.mark.parametrize("path", COLUMNAR)
def test_two_columns_of_one_name_are_refused(path: str, twin: str, call: Run) -> None:
    write(path, [*REQUEST, "aws:SourceIp", twin], [*ROW, "10.0.0.1", "203.0.113.1"])
    code, err = call(path, "--on-error", "deny")
    assert code == 1 and path in err and f"two columns are named `{twin}`" in err
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize("path", COLUMNAR)
def test_two_spellings_of_one_key_are_refused_as_written(path: str, call: Run) -> None:
    write(path, [*REQUEST, "aws:SourceIp", "aws:sourceip"], [*ROW, "10.0.0.1", "203.0.113.1"])
    code, err = call(path)
    assert code == 1 and "`aws:SourceIp` and `aws:sourceip` are one key" in err


def test_a_folder_name_replaces_no_column_of_a_parquet_file(call: Run) -> None:
    Path("aws:SourceIp=203.0.113.1", "principal=x").mkdir(parents=True)
    path = "./aws:SourceIp=203.0.113.1/principal=x/r.parquet"
    write(path, REQUEST, ROW)
    assert call(path)[0] == 0 and outcomes() == ["ALLOW"]


def test_nested_columns_do_not_disturb_the_names_of_others(call: Run) -> None:
    duckdb.sql(
        f"""SELECT {{'principal': 1, 'b': [{{'action': 2}}]}} AS extra, '{ANA}' AS principal, 's3:GetObject' AS action,
        '{KEY}' AS resource, ['203.0.113.1'] AS "aws:SourceIp" """
    ).write_parquet("r.parquet")
    code, err = call("r.parquet", "--map", "extra=")
    assert code == 0, err
    assert outcomes() == ["EXPLICIT_DENY"]


ALLOWED = f'{{"principal":"{ANA}","action":"s3:GetObject","resource":"{KEY}","aws:SourceIp":"10.0.0.1"}}'
DENIED = ALLOWED.replace("10.0.0.1", "203.0.113.1")
# a line -> the name that its error names
TWINS: dict[str, tuple[str, str]] = {
    "plain": (DENIED[:-1] + ',"aws:SourceIp":"10.0.0.1"}', "aws:SourceIp"),
    "of equal values": (ALLOWED[:-1] + ',"aws:SourceIp":"10.0.0.1"}', "aws:SourceIp"),
    "of a number": (ALLOWED[:-1] + ',"app:n":1,"app:n":1}', "app:n"),
    "null at last": (DENIED[:-1] + ',"aws:SourceIp":null}', "aws:SourceIp"),
    "escaped": (DENIED[:-1] + ',"\\u0061ws:SourceIp":"10.0.0.1"}', "aws:SourceIp"),
    "escaped slash": ('{"app:a/b":1,' + ALLOWED[1:-1] + ',"app:a\\/b":2}', "app:a/b"),
    "with quotes in a value": (DENIED[:-1] + ',"app:q":"a\\"b\\\\","aws:SourceIp":"10.0.0.1"}', "aws:SourceIp"),
    "the principal": ('{"principal":"arn:aws:iam::1:user/x",' + ALLOWED[1:], "principal"),
    "in an object inside": (ALLOWED[:-1] + ',"app:o":[{"a":1,"a":2}]}', "a"),
}


@pytest.mark.parametrize("name", TWINS)
def test_a_line_with_a_name_twice_is_an_error_of_its_row(name: str, call: Run) -> None:
    line, twin = TWINS[name]
    Path("r.jsonl").write_text("\n".join([ALLOWED, line, DENIED]) + "\n")
    code, err = call("r.jsonl")
    assert code == 1 and err.startswith("error: r.jsonl:2: the name is given twice in one object")
    assert f"row 1, column `{twin}`" in err
    assert call("r.jsonl", "--on-error", "deny")[0] == 0
    assert outcomes() == ["ALLOW", "ERROR", "EXPLICIT_DENY"]


@pytest.mark.parametrize(
    "value",
    [
        '"a\\"b"',
        '"\\\\"',
        '"\\\\\\""',
        '["a", ["b", {"c": "d\\u0022"}], 1]',
        '{"a": {"a": "a"}, "b": []}',
        '""',
        "[]",
        "[" * 400 + "]" * 400,
    ],
)
def test_value_of_any_form_has_no_name_twice(value: str, call: Run) -> None:
    Path("r.jsonl").write_text(f'{ALLOWED[:-1]}, "app:q": {value}}}\n{DENIED}\n')
    code, err = call("r.jsonl", "--map", "app:q=")
    assert code == 0, err
    assert outcomes() == ["ALLOW", "EXPLICIT_DENY"]


# -- names that no key has ---------------------------------------------------------------------------------------------

STRANGE = [
    "aws:SourceIp ",
    " aws:SourceIp",
    "aws: SourceIp",
    "aws:\u00a0SourceIp",
    "aws:SourceIp\0",
    "aws:ResourceTag/\1",
    ":",
    "aws:RequestTag/",
]


@pytest.mark.parametrize("name", STRANGE)
def test_column_with_an_invalid_key_name_is_refused(name: str, call: Run) -> None:
    write("r.parquet", [*REQUEST, name], [*ROW, "203.0.113.1"])
    code, err = call("r.parquet", "--on-error", "deny")
    assert code == 1 and "is not a context key" in err and "--map" in err
    code, err = call("r.parquet", "--map", f"{name}=")
    assert code == 0 and outcomes() == ["ALLOW"], err
    code, err = call("r.parquet", "--map", f"{name}=aws:SourceIp")
    assert code == 0 and outcomes() == ["EXPLICIT_DENY"], err


@pytest.mark.parametrize("name", STRANGE)
def test_line_with_an_invalid_key_name_is_an_error_of_its_row(name: str, call: Run) -> None:
    Path("r.jsonl").write_text("\n".join([ALLOWED, json.dumps(dict(zip([*REQUEST, name], [*ROW, "x"], strict=True))), DENIED]))
    code, err = call("r.jsonl")
    assert code == 1 and err.startswith("error: r.jsonl:2: ") and "is not a context key" in err
    assert call("r.jsonl", "--on-error", "deny")[0] == 0
    assert outcomes() == ["ALLOW", "ERROR", "EXPLICIT_DENY"]
    assert call("r.jsonl", "--map", f"{name}=")[0] == 0
    assert outcomes() == ["ALLOW", "ALLOW", "EXPLICIT_DENY"]


def test_a_tag_may_have_spaces(call: Run) -> None:
    write("r.csv", [*REQUEST, "aws:ResourceTag/cost center"], [*ROW, "y"])
    code, err = call("r.csv", "--strict-columns")
    assert code == 0 and outcomes() == ["ALLOW"], err


@pytest.mark.parametrize("name", [b"\xff:x", b"a\xc3"])
def test_a_csv_column_whose_name_is_not_utf8_is_refused(name: bytes, call: Run) -> None:
    Path("r.csv").write_bytes(b",".join([*map(str.encode, REQUEST), name]) + b"\n" + ",".join([*ROW, "x"]).encode() + b"\n")
    code, err = call("r.csv")
    assert code == 1 and err.startswith("error: r.csv:1:1: the header is not UTF-8")


# -- columns that no statement reads -----------------------------------------------------------------------------------

# a column -> its line in the summary
UNUSED: dict[str, str] = {
    "aws:SourceIP_": "  `aws:SourceIP_`: did you mean `aws:SourceIp`?",
    "": "  ``",
    "cost center": "  `cost center`: did you mean `aws:ResourceTag/cost center`?",
    "kiosk_stage": "  `kiosk_stage`: did you mean `kiosk:Stage`?",
    "Resource-Account": "  `Resource-Account`: did you mean `resource_account`?",
    "aws:ResourceTag/cost": "  `aws:ResourceTag/cost`: did you mean `aws:ResourceTag/cost center`?",
    "xyzzy": "  `xyzzy`",
    "actions": "  `actions`",
    "aws:CurrentTime": "  `aws:CurrentTime`",
}


@pytest.mark.parametrize("column", UNUSED)
@pytest.mark.parametrize("path", ["r.csv", "r.jsonl"])
def test_unused_column_is_listed_with_the_nearest_key(path: str, column: str, call: Run) -> None:
    names, row = [*REQUEST, column], [*ROW, "2026-11-25T09:00:00Z"]
    if path == "r.csv":
        write(path, names, row)
    else:
        Path(path).write_text("\n".join(json.dumps(dict(zip(some, row, strict=False))) for some in (REQUEST, names)))
    code, err = call(path)
    listed = err.splitlines()
    assert code == 0 and listed[listed.index("columns that no statement reads:") + 1] == UNUSED[column]
    code, err = call(path, "--strict-columns", "--on-error", "deny")
    assert code == 1 and f"no statement reads the column `{column}`" in err
    assert call(path, "--strict-columns", "--map", f"{column}=")[0] == 0
    assert call(path, "--strict-columns", "--keep", column)[0] == 0


# -- columns without a colon, which are not keys --------------------------------------------------------------------------

LIKE_KEYS = {  # a column, and the key that it is like
    "source_ip": "aws:SourceIp",
    "sourceIp": "aws:SourceIp",
    "SecureTransport": "aws:SecureTransport",
    "request_tags": "aws:RequestTag/*",
    "tags": "aws:RequestTag/*",
    "RequestTag/env": "aws:RequestTag/env",
    "resourceTag.cost center": "aws:ResourceTag/cost center",
}


@pytest.mark.parametrize("column", LIKE_KEYS)
@pytest.mark.parametrize("path", ["r.csv", "r.jsonl"])
def test_column_that_is_like_a_key_is_refused(path: str, column: str, call: Run) -> None:
    write(path, [*REQUEST, column], [*ROW, "x"]) if path == "r.csv" else Path(path).write_text(
        json.dumps(dict(zip([*REQUEST, column], [*ROW, "x"], strict=True)))
    )
    code, err = call(path, "--on-error", "deny")
    assert code == 1 and f"the column `{column}` is like a condition key, and is not read" in err
    assert f"`--map {column}={LIKE_KEYS[column]}` reads it" in err
    assert call(path, "--map", f"{column}=")[0] == 0
    assert call(path, "--keep", column)[0] == 0
    code, err = call(path, "--map", f"{column}=RequestTag/env")
    assert code == 1 and "did you mean `aws:RequestTag/env`?" in err


def test_columns_of_any_type_are_ignored_without_a_colon(call: Run) -> None:
    others = {"at": pa.array([0], pa.timestamp("us")), "nested": pa.array([{"a": 1}]), "day": pa.array([1], pa.date32())}
    columns = [pa.array([value]) for value in ROW] + list(others.values())
    pq.write_table(pa.Table.from_arrays(columns, names=[*REQUEST, *others]), "r.parquet")
    code, err = call("r.parquet")
    assert code == 0 and outcomes() == ["ALLOW"] and all(f"  `{name}`" in err for name in others), err


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.date32(), pa.struct([("a", pa.int64())])], ids=str)
def test_column_of_a_type_that_is_not_read_has_a_hint(kind: pa.DataType, call: Run) -> None:
    columns = [*(pa.array([value]) for value in ROW), pa.nulls(1, kind)]
    pq.write_table(pa.Table.from_arrays(columns, names=[*REQUEST, "x:at"]), "r.parquet")
    code, err = call("r.parquet")
    assert code == 1 and "at `x:at`\nhelp: write text, numbers, booleans, times with a zone" in err
    assert "or leave it out with `--map x:at=`" in err and "pl.col" not in err
    assert call("r.parquet", "--map", "x:at=")[0] == 0


PAIRS = pa.list_(pa.struct([("Key", pa.string()), ("Value", pa.string())]))
TAGS = {
    "struct": pa.array([{"cost center": "x", "team": "a"}, {"cost center": "y"}, None]),
    "map": pa.array([[("cost center", "x")], [("cost center", "y")], None], pa.map_(pa.string(), pa.string())),
    "pairs": pa.array([[{"Key": "Cost Center", "Value": "x"}], [{"Key": "cost center", "Value": "y"}], None], PAIRS),
}


@pytest.mark.parametrize("kind", TAGS)
@pytest.mark.parametrize("path", ["r.parquet", "r.arrow", "r.jsonl"])
def test_column_of_tags_has_a_key_for_each_tag(path: str, kind: str, call: Run) -> None:
    rows = [[ANA, "s3:GetObject", f"arn:aws:s3:::{home}/k"] for home in "hhh"]
    table = pa.table(dict(zip(REQUEST, map(list, zip(*rows, strict=True)), strict=True)) | {"resource_tags": TAGS[kind]})
    table = table.append_column("kiosk:Stage", pa.array(["dead"] * 3)).append_column("aws:TagKeys", pa.array([["no"]] * 3))
    if path == "r.parquet":
        pq.write_table(table, path)
    elif path == "r.arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        Path(path).write_text("\n".join(map(json.dumps, table.to_pylist())))
    policy = json.loads(json.dumps(POLICY).replace("${aws:PrincipalTag/home}", "h"))
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[policy])
    directory.add_resource("arn:aws:s3:::h", account=ACCOUNT)
    directory.dump("policies.json")
    code, err = call(path, "--map", "resource_tags=aws:ResourceTag/*", "--strict-columns")
    assert code == 0 and outcomes() == ["EXPLICIT_DENY", "ALLOW", "ALLOW"], err
    code, err = call(path, "--map", "kiosk:Stage=aws:ResourceTag/*", "--map", "resource_tags=")
    assert code == 1 and "kiosk:Stage" in err and "tags" in err


def test_context_is_a_key_of_all_rows(call: Run) -> None:
    write("r.csv", [*REQUEST, "kiosk:Stage"], [*ROW, "x"], [*ROW, "y"])
    assert call("r.csv")[0] == 0 and outcomes() == ["ALLOW"] * 2
    Path("keys.json").write_text(json.dumps({"aws:sourceip": "203.0.113.1", "aws:TagKeys": ["a", "no"], "aws:SourceVpc": None}))
    code, err = call("r.csv", "--context-file", "keys.json")
    assert code == 0 and outcomes() == ["EXPLICIT_DENY"] * 2
    assert "aws:SourceIp" not in err and "aws:TagKeys" not in err
    assert call("r.csv", "--context-file", "keys.json", "--context", "aws:SourceIp=10.0.0.1")[0] == 0
    assert outcomes() == ["ALLOW"] * 2
    code, err = call("r.csv", "--context", "kiosk:stage=x")
    assert code == 1 and "has a column, and one value for all rows" in err
    code, err = call("r.csv", "--context", "SourceIp=10.0.0.1")
    assert code == 1 and "did you mean `aws:SourceIp`?" in err
    Path("keys.json").write_text("[]")
    assert call("r.csv", "--context-file", "keys.json")[0] == 64


READ = [
    "aws:SourceIp",
    "AWS:sourceip",
    "kiosk:STAGE",
    "aws:PrincipalTag/home",
    "aws:RequestTag/any",
    "iam:ResourceTag/cost center",
]


@pytest.mark.parametrize("column", READ)
def test_used_column_is_not_listed(column: str, call: Run) -> None:
    write("r.csv", [*REQUEST, column, "resource_account"], [*ROW, "", ACCOUNT])
    code, err = call("r.csv", "--strict-columns")
    assert code == 0 and "no statement reads" not in err, err


def test_many_unused_columns_are_counted(call: Run) -> None:
    rows = [dict(zip(REQUEST, ROW, strict=True)) | {f"app:k{i}": "x"} for i in range(15)]
    Path("r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, err = call("r.jsonl")
    assert code == 0 and err.count("  `app:k") == 10 and "  and 5 more" in err


def test_rows_of_unknown_principals_are_counted_in_words(call: Run) -> None:
    stranger = [f"arn:aws:iam::{ACCOUNT}:user/nobody", *ROW[1:]]
    write("r.csv", REQUEST, ROW, stranger, stranger)
    code, err = call("r.csv")
    assert code == 0 and "principal not in the directory: 2 rows" in err.splitlines()
    assert "--outside assume-allowed" in err
    write("r.csv", REQUEST, ROW)
    assert "principal not in the directory" not in call("r.csv")[1]


@pytest.mark.parametrize("name", ["a[1].parquet", "a*.parquet", "a?.parquet"])
def test_a_file_named_like_a_pattern_is_the_one_read(name: str, tmp_path: Path, call: Run) -> None:
    for each, bucket in [("a1.parquet", "other"), (name, "bkt")]:
        pq.write_table(pa.table([[ANA], ["s3:GetObject"], [f"arn:aws:s3:::{bucket}/key"]], names=REQUEST), tmp_path / each)
    assert call(name)[0] == 0
    assert [json.loads(line)["resource"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [KEY]
