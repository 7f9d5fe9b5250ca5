"""`fastiam authorize` and `fastiam explain`, over a small directory in our own format.

Invariant: every request gets a row, in order, with the decision of the engine; an undecidable row is named or denied.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from standard_streams import piped
from surroundings import skip_where_sanitized

import fastiam
from fastiam.cli.main import run

ACCOUNT = "111111111111"
ANA, APP = f"arn:aws:iam::{ACCOUNT}:user/ana", f"arn:aws:iam::{ACCOUNT}:role/app"
KEY = "arn:aws:s3:::bkt/key"
NOW = "2026-11-25T09:00:00Z"

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {
            "Sid": "Office",
            "Effect": "Deny",
            "Action": "s3:Put*",
            "Resource": "*",
            "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        },
        {
            "Effect": "Allow",
            "Action": "sqs:*",
            "Resource": "*",
            "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": "team"}, "Bool": {"aws:SecureTransport": "true"}},
        },
    ],
}
NAMES = ["principal", "action", "resource", "aws:SourceIp"]
ROWS: list[tuple[str, str, str, str | None]] = [
    (ANA, "s3:GetObject", KEY, "10.0.0.1"),
    (ANA, "s3:PutObject", KEY, "10.0.0.1"),
    (ANA, "s3:PutObject", KEY, "203.0.113.1"),
    (ANA, "s3:PutObject", KEY, None),
    (APP, "s3:GetObject", KEY, "10.0.0.1"),
    (f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run-1", "sqs:SendMessage", "*", None),
]
EXPECTED = ["ALLOW", "ALLOW", "EXPLICIT_DENY", "EXPLICIT_DENY", "IMPLICIT_DENY", "IMPLICIT_DENY"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with `policies.json` in it."""
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[("Work", POLICY)])
    directory.add_principal(APP)
    directory.add_resource("arn:aws:s3:::bkt", account=ACCOUNT)
    directory.dump(tmp_path / "policies.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `fastiam authorize`: exit code, standard output, standard error."""

    def call(requests: str, *more: str, out: str = "out.jsonl") -> tuple[int, str, str]:
        code = run(["authorize", "--policies", "policies.json", "--requests", requests, "--out", out, "--now", NOW, *more])
        printed, err = capsys.readouterr()
        return code, printed, err

    return call


def as_csv(rows: list[tuple[Any, ...]] = ROWS, names: list[str] = NAMES) -> str:  # type: ignore[assignment]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([names, *rows])
    return out.getvalue()


def as_json(rows: list[tuple[Any, ...]] = ROWS, names: list[str] = NAMES) -> str:  # type: ignore[assignment]
    return "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)


def as_table() -> pa.Table:
    return pa.table([pa.array(column) for column in zip(*ROWS, strict=True)], names=NAMES)


def write_requests(path: Path) -> None:
    if path.suffix == ".csv":
        path.write_text(as_csv())
    elif path.suffix == ".jsonl":
        path.write_text(as_json())
    elif path.suffix == ".parquet":
        duckdb.from_arrow(as_table()).write_parquet(str(path))
    else:
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, as_table().schema) as writer:
            writer.write_table(as_table())


READ: dict[str, Callable[[str], Any]] = {
    ".parquet": lambda path: pa.table(duckdb.read_parquet(path)),
    ".csv": lambda path: pa.table(duckdb.read_csv(path, all_varchar=True)),
    ".jsonl": lambda path: pa.table(duckdb.read_json(path)),
    ".arrow": lambda path: pa.ipc.open_file(path).read_all(),
}


def results(path: str = "out.jsonl") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = READ[Path(path).suffix](path).to_pylist()
    return rows


@pytest.mark.parametrize("target", READ)
@pytest.mark.parametrize("source", READ)
def test_values_that_a_test_cannot_read_are_counted_and_marked(source: str, target: str, folder: Path, call: Run) -> None:
    rows = [*ROWS, *((ANA, "s3:PutObject", KEY, address) for address in ("999.1.2.3", "host", "host"))]
    if source in (".csv", ".jsonl"):
        Path(f"r{source}").write_text(as_csv(rows) if source == ".csv" else as_json(rows))
    else:
        table = pa.table([pa.array(column) for column in zip(*rows, strict=True)], names=NAMES)
        if source == ".parquet":
            duckdb.from_arrow(table).write_parquet("r.parquet")
        else:
            with pa.OSFile(f"r{source}", "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
                writer.write_table(table)
    code, _, err = call(f"r{source}", out=f"out{target}")
    assert code == 0
    line = "           3   33.3%  `aws:SourceIp`: 2 values cannot be read as an IP address, such as `999.1.2.3`"
    assert f"values that tests cannot read:\n  {line}" in err
    assert [row["unreadable"] for row in results(f"out{target}")] == [None] * 6 + ["aws:SourceIp"] * 3


def test_other_verbs_name_values_that_a_test_cannot_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.csv").write_text(as_csv([(ANA, "s3:PutObject", KEY, "host"), (ANA, "s3:PutObject", KEY, "10.0.0.1")]))
    given = ["--policies", "policies.json", "--context", "aws:SourceIp=host"]
    stated = "`aws:SourceIp`: `host` cannot be read as an IP address: a Deny that tests it applies, an Allow does not"
    for verb in (["who-can", "s3:PutObject", KEY], ["what-can", ANA, "--resource", KEY], ["explain", ANA, "s3:PutObject", KEY]):
        run([*verb, *given])
        assert f"{stated}\n" in capsys.readouterr().err, verb
    run(["diff", "--old", "policies.json", "--new", "policies.json", "--requests", "r.csv"])
    assert f"{stated} (1 row)\n" in capsys.readouterr().err


@pytest.mark.parametrize("target", READ)
@pytest.mark.parametrize("source", READ)
def test_results_are_equal_for_all_pairs_of_formats(source: str, target: str, folder: Path, call: Run) -> None:
    write_requests(folder / f"requests{source}")
    code, printed, err = call(f"requests{source}", out=f"out{target}")
    assert (code, printed) == (0, ""), err
    rows = results(f"out{target}")
    assert [row["outcome"] for row in rows] == EXPECTED
    assert [(row["principal"], row["action"], row["resource"]) for row in rows] == [row[:3] for row in ROWS]
    assert (rows[0]["layer"], rows[0]["policy"], rows[0]["sid"], rows[0]["error"]) == ("identity", "Work", "#0", None)
    assert (rows[2]["layer"], rows[2]["policy"], rows[2]["sid"]) == ("identity", "Work", "Office")
    assert (rows[4]["layer"], rows[4]["policy"], rows[4]["sid"]) == ("identity", None, None)


def test_results_agree_with_the_engine_row_by_row(folder: Path, call: Run) -> None:
    write_requests(folder / "requests.parquet")
    assert call("requests.parquet")[0] == 0
    engine = fastiam.load("policies.json").compile()
    for row, (principal, action, resource, address) in zip(results(), ROWS, strict=True):
        context = {"aws:SourceIp": address} if address else {}
        decision = engine.decide(principal, action, resource, context, now=datetime.fromisoformat(NOW))
        assert (row["outcome"], row["layer"]) == (decision.outcome.name, decision.layer)


def test_summary_lists_outcomes_denies_and_missing_keys(folder: Path, call: Run) -> None:
    (folder / "requests.csv").write_text(as_csv([row[:3] for row in ROWS], NAMES[:3]))
    code, _, err = call("requests.csv")
    assert code == 0
    assert "6 rows" in err
    assert any("explicit deny" in line and " 3 " in line for line in err.splitlines())
    assert "Work Office (identity)" in err
    assert "aws:sourceip" in err.lower().split("never supplied")[1]
    assert "owner assumed: 1 row\n" in err
    assert "requests/s" not in err  # the job took less than a second


def test_quiet_prints_nothing(folder: Path, call: Run) -> None:
    (folder / "requests.csv").write_text(as_csv())
    assert call("requests.csv", "--quiet") == (0, "", "")


def test_an_unknown_owner_may_be_denied(folder: Path, call: Run) -> None:
    (folder / "requests.csv").write_text(as_csv([(ANA, "s3:GetObject", "arn:aws:s3:::another/key", None)]))
    assert call("requests.csv")[0] == 0
    assert results()[0]["outcome"] == "ALLOW"
    assert call("requests.csv", "--unknown-owner", "deny")[0] == 0
    assert (results()[0]["outcome"], results()[0]["layer"]) == ("IMPLICIT_DENY", "service")


def test_typed_and_listed_context_is_read_from_json_lines(folder: Path, call: Run) -> None:
    request = {"principal": ANA, "action": "sqs:SendMessage", "resource": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q"}
    contexts: list[dict[str, Any]] = [
        {"aws:TagKeys": ["team", "cost"], "aws:SecureTransport": True},
        {"aws:TagKeys": ["cost"], "aws:SecureTransport": True},
        {"aws:TagKeys": ["team"], "aws:SecureTransport": False},
        {"aws:TagKeys": ["team"]},
    ]
    (folder / "r.jsonl").write_text("".join(json.dumps(request | context) + "\n" for context in contexts))
    assert call("r.jsonl")[0] == 0
    assert [row["outcome"] for row in results()] == ["ALLOW", "IMPLICIT_DENY", "IMPLICIT_DENY", "IMPLICIT_DENY"]


def test_typed_columns_are_read_from_parquet(folder: Path, call: Run) -> None:
    duckdb.sql(
        f"""SELECT '{ANA}' AS principal, 'sqs:SendMessage' AS action, 'arn:aws:sqs:eu-west-1:{ACCOUNT}:q' AS resource,
        tags AS "aws:TagKeys", secure AS "aws:SecureTransport"
        FROM (VALUES (['team', 'cost'], true), (['cost'], true), (['team'], false), (['team'], NULL)) t(tags, secure)"""
    ).write_parquet("r.parquet")
    assert call("r.parquet")[0] == 0
    assert [row["outcome"] for row in results()] == ["ALLOW", "IMPLICIT_DENY", "IMPLICIT_DENY", "IMPLICIT_DENY"]


def test_columns_are_renamed_left_out_and_kept(folder: Path, call: Run) -> None:
    names = ["who", "action", "resource", "ip", "id"]
    rows = [(*row, f"request-{i}") for i, row in enumerate(ROWS)]
    (folder / "r.csv").write_text(as_csv(rows, names))
    mapping = ["--map", "who=principal", "--map", "ip=aws:SourceIp", "--map", "id="]
    code, _, err = call("r.csv", *mapping, "--keep", "id")
    assert code == 0, err
    assert [row["outcome"] for row in results()] == EXPECTED
    assert [row["id"] for row in results()] == [f"request-{i}" for i in range(6)]


@pytest.mark.parametrize(
    ("row", "column"),
    [((ANA, "s3", KEY), "what"), (("arn:aws:iam::1:user/x", "s3:Get", KEY), "who"), ((ANA, "s3:Get", "k"), "on")],
)
def test_an_error_names_the_column_of_the_file(row: tuple[str, str, str], column: str, folder: Path, call: Run) -> None:
    (folder / "r.csv").write_text(as_csv([row], ["who", "what", "on"]))
    mapping = ["--map", "who=principal", "--map", "what=action", "--map", "on=resource"]
    code, _, err = call("r.csv", *mapping)
    assert code == 1 and f"column `{column}`" in err


def test_a_column_of_wrong_type_is_named_as_in_the_file(folder: Path, call: Run) -> None:
    duckdb.sql(f"SELECT 5 AS who, 's3:GetObject' AS action, '{KEY}' AS resource").write_parquet("r.parquet")
    code, _, err = call("r.parquet", "--map", "who=principal")
    assert code == 1 and "r.parquet" in err and "`who`" in err and "principals" not in err


def test_empty_json_lines_file_has_no_requests(folder: Path, call: Run) -> None:
    (folder / "r.jsonl").write_text("")
    assert call("r.jsonl")[0] == 0 and (folder / "out.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("r.csv", "r.csv: the results would replace `r.csv`"),
        ("./link.csv", "link.csv: the results would replace `r.csv`"),
        ("nowhere/out.csv", "nowhere/out.csv: there is no folder `"),
        ("folder.csv", "folder.csv: it is a folder"),
    ],
)
def test_unwritable_output_is_reported_before_any_work(out: str, message: str, folder: Path, call: Run) -> None:
    (folder / "r.csv").write_text(as_csv())
    (folder / "link.csv").symlink_to("r.csv")
    (folder / "folder.csv").mkdir()
    code, _, err = call("r.csv", out=out)
    assert code == 1 and message in err
    assert (folder / "r.csv").read_text() == as_csv()


def test_the_owner_column_decides_the_account(folder: Path, call: Run) -> None:
    rows = [(ANA, "s3:GetObject", "arn:aws:s3:::other/k", owner) for owner in (ACCOUNT, "222222222222", None)]
    (folder / "r.csv").write_text(as_csv(rows, ["principal", "action", "resource", "resource_account"]))
    assert call("r.csv")[0] == 0
    assert [row["outcome"] for row in results()] == ["ALLOW", "IMPLICIT_DENY", "ALLOW"]


def test_a_file_without_requests_gives_a_file_without_results(folder: Path, call: Run) -> None:
    (folder / "r.csv").write_text(as_csv([]))
    assert call("r.csv", out="out.parquet")[0] == 0
    table = READ[".parquet"]("out.parquet")
    assert (table.num_rows, table.column_names[3]) == (0, "outcome")


WRONG_FILES: list[tuple[str, list[str], str]] = [
    ("principal,action\nx,y\n", [], "there is no column `resource`"),
    ("who,action,resource\nx,y,z\n", [], "--map COLUMN=principal"),
    ("principal;action;resource\nx;y;z\n", [], "help: the header is separated by semicolons: write the file with commas"),
    ("principal\taction\tresource\nx\ty\tz\n", [], "help: the header is separated by tabs"),
    (",".join(f"c{i}" for i in range(99)) + "\n", [], "`c19`, ...; rename"),
    (as_csv(), ["--map", "action=principal"], "two columns are read as `principal`"),
    (as_csv(), ["--keep", "id"], "there is no column `id`"),
    (as_csv() + f'"{ANA},s3:GetObject,{KEY},\n', [], "r.csv:8:1: a quote is never closed"),
    (as_csv(), ["--requests-format", "parquet"], "r.csv: the content does not have the format parquet"),
    (as_csv(), ["--requests-format", "arrow"], "r.csv: the content does not have the format arrow"),
    ("", [], "r.csv: the file is empty"),
    ("PK\x03\x04\x14\x00", [], "r.csv: the content is not a file of requests"),
    ("\x00p\x00r\x00i", [], "text in UTF-8"),
    ("a,b\rx,y", [], "r.csv:1:1: the header cannot be read: a carriage return without a line feed"),
    (as_csv(), ["--map", "nope=action"], "r.csv: there is no column `nope`"),
    ("[]", [], "one JSON object a line"),
]


@pytest.mark.parametrize(("text", "more", "message"), WRONG_FILES)
@pytest.mark.parametrize("on_error", ["raise", "deny"])
def test_a_file_that_cannot_be_read_ends_the_job(
    text: str, more: list[str], message: str, on_error: str, folder: Path, call: Run
) -> None:
    (folder / "r.csv").write_text(text)
    code, _, err = call("r.csv", "--on-error", on_error, *more)
    assert code == 1 and message in err
    assert not (folder / "out.jsonl").exists()


# a row, the name of the column to blame, a piece of the message, and the code
BROKEN_ROWS: list[tuple[str, str, str, str]] = [
    (f",s3:GetObject,{KEY},10.0.0.1", "principal", "", "bad_principal"),
    (f"arn:aws:iam::1:user/ana,s3:GetObject,{KEY},", "principal", "", "bad_principal"),
    (f"{ANA},s3:Get*,{KEY},", "action", "is not an action", "bad_action"),
    (f"{ANA},,{KEY},", "action", "", "bad_action"),
    (f"{ANA},s3:GetObject,bkt/key,", "resource", "is not a resource", "bad_resource"),
    (f"{ANA},s3:GetObject,{KEY}", "", "3 fields where the header has 4", "bad_csv"),
    (f"{ANA},s3:GetObject,{KEY},10.0.0.1,x", "", "5 fields where the header has 4", "bad_csv"),
]


@pytest.mark.parametrize(("row", "column", "message", "code_of_row"), BROKEN_ROWS)
def test_a_broken_row_ends_the_job_and_is_named(
    row: str, column: str, message: str, code_of_row: str, folder: Path, call: Run
) -> None:
    (folder / "r.csv").write_text(as_csv() + row + "\n")
    code, _, err = call("r.csv")
    assert code == 1 and err.startswith("error: r.csv:8: ") and message in err
    assert f"row 6, column `{column}`" in err if column else "row 6" in err
    assert not (folder / "out.jsonl").exists()


@pytest.mark.parametrize(("row", "column", "message", "code_of_row"), BROKEN_ROWS)
def test_a_broken_row_may_be_denied_in_its_place(
    row: str, column: str, message: str, code_of_row: str, folder: Path, call: Run
) -> None:
    (folder / "r.csv").write_text(as_csv() + row + "\n" + as_csv().partition("\n")[2])
    code, _, err = call("r.csv", "--on-error", "deny")
    assert code == 0
    found = results()
    assert [row["outcome"] for row in found] == [*EXPECTED, "ERROR", *EXPECTED]
    assert [found[6][name] for name in ("error_code", "error_file", "error_row")] == [code_of_row, "r.csv", 6]
    assert message in found[6]["error"] and "row" not in found[6]["error"] and "r.csv" not in found[6]["error"]
    assert {row[name] for row in found[:6] + found[7:] for name in row if name.startswith("error")} == {None}
    assert "error: r.csv:8: " in err and any("error" in line and " 1 " in line for line in err.splitlines())


def test_a_row_that_contradicts_the_directory_is_an_error(folder: Path, call: Run) -> None:
    """K1: what the directory knows of a caller is not the caller's to say."""
    rows = [(ANA, "s3:GetObject", KEY, ANA), (ANA, "s3:GetObject", KEY, APP)]
    (folder / "r.csv").write_text(as_csv(rows, [*NAMES[:3], "aws:PrincipalArn"]))
    code, _, err = call("r.csv")
    assert code == 1 and "row 1" in err and "aws:PrincipalArn" in err
    assert call("r.csv", "--on-error", "deny")[0] == 0
    assert [row["outcome"] for row in results()] == ["ALLOW", "ERROR"]
    assert results()[1]["error_code"] == "bad_value"


def test_rows_with_one_fault_have_one_code_and_one_text(folder: Path, call: Run) -> None:
    """The same in files and in Python: rows count from 0, and no text has a row or a file."""
    rows = [(None if i % 3 else ANA, "s3:GetObject", KEY) for i in range(9)]
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text(as_csv(rows, NAMES[:3]))
    assert call("a.csv", "--requests", "b.csv", "--on-error", "deny")[0] == 0
    found = [row for row in results() if row["outcome"] == "ERROR"]
    decisions = fastiam.load("policies.json").compile().decide_many(*zip(*rows, strict=True), on_error="deny")
    places = [(name, row) for name in ("a.csv", "b.csv") for row in decisions.errors]
    assert [(row["error_file"], row["error_row"]) for row in found] == places
    assert {row["error_code"] for row in found} == {*decisions.error_code} - {None} == {"bad_principal"}
    assert len({row["error"] for row in found}) == len({*decisions.error} - {None}) == 1
    assert [error.row for error in decisions.errors.values()] == [*decisions.errors] == [1, 2, 4, 5, 7, 8]


def test_column_that_is_read_as_a_key_is_not_the_principal(folder: Path, call: Run) -> None:
    """Lines of JSON may lack a column; a column of its name that `--map` reads as something else does not replace it."""
    (folder / "r.jsonl").write_text(as_json())
    assert call("r.jsonl", "--map", "principal=app:who", "--on-error", "deny")[0] == 0
    assert {(row["outcome"], row["principal"], row["error_code"]) for row in results()} == {("ERROR", None, "bad_principal")}


DAMAGED: dict[str, tuple[str, bytes]] = {
    "a Parquet file of text": ("r.parquet", b"broken\n"),
    "a Parquet file without its start": ("r.PQ", b"R1 principal,action,resource\n"),
    "a Parquet file of JSON lines": ("r.parquet", b'{"principal": "*"}\n'),
    "an Arrow file of text": ("r.arrow", b"principal,action,resource\n"),
    "an Arrow file that is Parquet": ("r.feather", b"PAR1 and more"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_not_read_as_another_format(case: str, folder: Path, call: Run) -> None:
    name, content = DAMAGED[case]
    (folder / name).write_bytes(content)
    code, _, err = call(name, "--on-error", "deny")
    assert code == 1 and err.startswith(f"error: {name}: the content does not have the format ") and "column" not in err
    assert not (folder / "out.jsonl").exists()


@pytest.mark.parametrize("name", ["r.jsonl", "r.ndjson", "r.JSONL"])
def test_json_lines_with_a_broken_first_line_are_not_csv(name: str, folder: Path, call: Run) -> None:
    (folder / name).write_text("oops\n" + as_json())
    assert call(name, "--on-error", "deny")[0] == 0
    assert [row["outcome"] for row in results()] == ["ERROR", *EXPECTED]
    assert results()[0]["error_code"] == "bad_json"


def test_a_broken_json_line_may_be_denied_in_its_place(folder: Path, call: Run) -> None:
    (folder / "r.jsonl").write_text(as_json() + "{oops\n" + '{"action": "s3:GetObject"}\n' + as_json())
    code, _, err = call("r.jsonl")
    assert code == 1 and err.startswith("error: r.jsonl:7: not JSON")
    assert call("r.jsonl", "--on-error", "deny")[0] == 0
    assert [row["outcome"] for row in results()] == [*EXPECTED, "ERROR", "ERROR", *EXPECTED]


def test_a_rejected_policy_file_ends_with_its_place(folder: Path, call: Run) -> None:
    text = (folder / "policies.json").read_text()
    (folder / "policies.json").write_text(text[: len(text) // 2])
    (folder / "r.csv").write_text(as_csv())
    code, _, err = call("r.csv")
    assert code in (1, 3) and "policies.json:" in err


# -- processes ---------------------------------------------------------------------------------------------------------


def authorized(*arguments: str, data: bytes = b"") -> bytes:
    """What `fastiam authorize --out -` writes."""
    with piped(data) as output:
        assert run(["authorize", "--policies", "policies.json", "--out", "-", *arguments]) == 0
    return output.data


@pytest.mark.parametrize("suffix", READ)
def test_requests_and_results_go_through_pipes(suffix: str, folder: Path) -> None:
    write_requests(folder / f"r{suffix}")
    out = authorized("--requests", "-", data=(folder / f"r{suffix}").read_bytes())
    assert [json.loads(line)["outcome"] for line in out.splitlines()] == EXPECTED


def test_results_go_through_a_pipe_in_each_format(folder: Path) -> None:
    (folder / "r.csv").write_text(as_csv())
    out = authorized("--requests", "r.csv", "--out-format", "csv", "--quiet")
    assert [row["outcome"] for row in csv.DictReader(io.StringIO(out.decode()))] == EXPECTED
    out = authorized("--requests", "r.csv", "--out-format", "arrow", "--quiet")
    assert pa.ipc.open_stream(out).read_all()["outcome"].to_pylist() == EXPECTED
    out = authorized("--requests", "r.csv", "--out-format", "parquet", "--quiet")
    assert pl.read_parquet(io.BytesIO(out))["outcome"].to_list() == EXPECTED


def test_process_reads_and_writes_the_standard_streams(folder: Path) -> None:
    command = [sys.executable, "-m", "fastiam.cli.main", "authorize", "--policies", "policies.json"]
    done = subprocess.run([*command, "--requests", "-", "--out", "-"], input=as_csv().encode(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["outcome"] for line in done.stdout.splitlines()] == EXPECTED


def test_closed_output_pipe_prints_no_error(folder: Path) -> None:
    (folder / "r.csv").write_text(as_csv(ROWS * 20_000))
    command = [sys.executable, "-m", "fastiam.cli.main", "authorize", "--policies", "policies.json", "--requests", "r.csv"]
    with subprocess.Popen([*command, "--out", "-"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        assert job.stdout is not None and job.stderr is not None
        assert json.loads(job.stdout.readline())["outcome"] == "ALLOW"
        job.stdout.close()
        assert job.stderr.read() == b""
    assert job.returncode == 141  # as of SIGPIPE


PEAK = """
import sys
from fastiam.cli.main import run
code = run(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def peak_memory(folder: Path, name: str) -> int:
    """Peak memory of one job in MB. (What `wait4` says counts the parent in, which the child starts as a copy of.)"""
    skip_where_sanitized()
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    command = [sys.executable, "-c", PEAK, "authorize", "--policies", "policies.json", "--quiet"]
    done = subprocess.run([*command, "--requests", name, "--out", f"out-{name}"], cwd=folder, capture_output=True, check=True)
    return int(done.stdout) >> 10


@pytest.mark.slow
@pytest.mark.parametrize(("form", "options"), [("csv", "HEADER true"), ("parquet", "FORMAT parquet"), ("jsonl", "FORMAT json")])
def test_memory_stays_constant_as_the_file_grows(form: str, options: str, folder: Path) -> None:
    """A file of a gigabyte needs less than 400 MB: the peak does not follow the file."""
    for name, n in (("small", 150_000), ("large", 600_000)):
        duckdb.sql(
            f"""SELECT '{ANA}' AS principal, 's3:GetObject' AS action, 'arn:aws:s3:::bkt/data/part-' || i AS resource,
            '10.0.' || i % 256 || '.' || i % 199 AS "aws:SourceIp" FROM range({n}) t(i)"""
        ).query("requests", f"COPY (FROM requests) TO '{folder}/{name}.{form}' ({options})")
    small, large = peak_memory(folder, f"small.{form}"), peak_memory(folder, f"large.{form}")
    assert large < 400
    assert large < small + 100
    assert len(READ[f".{form}"](str(folder / f"out-large.{form}"))) == 600_000


# -- explain -----------------------------------------------------------------------------------------------------------


def explain(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = run(["explain", "--policies", "policies.json", "--format", "text", *arguments])
    return code, capsys.readouterr().out


def test_explain_prints_the_decision_first_then_statements(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = explain(capsys, ANA, "s3:PutObject", KEY, "--context", "aws:SourceIp=203.0.113.1")
    lines = out.splitlines()
    assert code == 2
    assert lines[0].startswith("DENIED by a statement")
    assert lines[1:3] == [f"  {ANA}", f"  s3:PutObject on {KEY}"]
    assert "Office" in lines[3] and "policies.json:" in lines[3]
    position = lines[3].rsplit(":", 2)
    assert "Office" in "".join((folder / "policies.json").read_text().splitlines()[int(position[1]) - 1 :])[:2000]
    assert any(line.startswith("  identity   denies") for line in lines)
    assert any("Allow" in line and "#0" in line for line in lines)
    assert any(line.strip() == "NotIpAddress aws:SourceIp 10.0.0.0/8; the request has 203.0.113.1" for line in lines)


def test_explain_exits_with_the_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(capsys, ANA, "s3:GetObject", KEY)[0] == 0
    assert explain(capsys, APP, "s3:GetObject", KEY)[0] == 2
    assert explain(capsys, APP, "s3:GetObject", KEY, "--exit-zero")[0] == 0
    code, out = explain(capsys, APP, "s3:GetObject", KEY)
    assert "it would take an allow in" in out and "identity" in out


def test_explain_as_json_is_the_whole_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = explain(capsys, ANA, "s3:PutObject", KEY, "--format", "json", "--now", NOW)
    record = json.loads(out)
    assert (code, record["decision"]["outcome"], record["principal_kind"]) == (2, "EXPLICIT_DENY", "USER")
    assert record["denies"][0]["ref"]["sid"] == "Office"
