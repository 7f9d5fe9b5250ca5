# ruff: noqa: F811  (`call` is a fixture)
"""`fastiam compile`, and `--engine` in place of `--policies`: the same decisions, from one file."""

from __future__ import annotations

import sys

import pytest
from cli_analysis_directory import ANA, APP, KEY, A, Run, call, directory, document, statement  # noqa: F401  (a fixture)

import fastiam

REQUEST = (ANA, "s3:GetObject", KEY, "--now", "2026-01-01T00:00:00Z")  # else two runs may have different times


@pytest.fixture
def compiled(call: Run) -> Run:
    assert call("compile", "d.json", "--out", "e.fastiam")[0] == 0
    return call


@pytest.mark.parametrize(
    "verb",
    [
        ("explain", *REQUEST),
        ("explain", *REQUEST, "--format", "json"),
        ("who-can", "s3:PutObject", KEY),
        ("what-can", APP),
        ("what-can", APP, "--resource", KEY),
    ],
    ids=lambda verb: " ".join(verb[:1] + verb[3:]),
)
def test_verb_prints_the_same_for_an_engine_file_as_for_policies(compiled, verb):
    name, *rest = verb
    assert compiled(name, "--engine", "e.fastiam", *rest) == compiled(name, "--policies", "d.json", *rest)


def test_engine_file_decides_a_request_file_equally(compiled, tmp_path):
    rows = [f"{who},{action},{KEY}" for who in (ANA, APP, "*") for action in ("s3:GetObject", "s3:PutObject")]
    (tmp_path / "r.csv").write_text("\n".join(["principal,action,resource", *rows]) + "\n")
    for name, *where in (("one", "--engine", "e.fastiam"), ("two", "--policies", "d.json")):
        assert compiled("authorize", *where, "--requests", "r.csv", "--out", f"{name}.jsonl")[0] == 0
    one, two = ((tmp_path / f"{name}.jsonl").read_text() for name in ("one", "two"))
    assert one == two and one.count('"ALLOW"') == 1


def test_two_files_are_compared(compiled, tmp_path):
    directory(statement("Allow", "s3:*")).dump(tmp_path / "new.json")
    compiled("compile", "new.json", "--out", "new.fastiam")
    expected = compiled("diff", "--old", "d.json", "--new", "new.json")
    assert expected[0] == 2
    assert compiled("diff", "--old-engine", "e.fastiam", "--new-engine", "new.fastiam") == expected
    assert compiled("diff", "--old", "d.json", "--new-engine", "new.fastiam") == expected


def test_the_summary_counts_and_quiet_does_not(call):
    code, out, err = call("compile", "d.json", "--out", "e.fastiam")
    assert (code, out) == (0, "") and "2 statements, 3 principals, 1 resources: 0.0 MB in" in err
    assert call("compile", "d.json", "--out", "e.fastiam", "--quiet") == (0, "", "")


def test_findings_are_printed(call, tmp_path):
    lenient = fastiam.Directory(mode="lenient")
    lenient.add_principal(ANA, identity_policies=[document({"Effect": "Allow", "Action": "nonsense", "Resource": "*"})])
    lenient.dump(tmp_path / "lenient.json")
    code, _, err = call("compile", "lenient.json", "--out", "e.fastiam")
    assert code == 0 and "findings in the policies, read leniently" in err


def test_unknown_owner_rule_is_compiled_in(call):
    call("compile", "d.json", "--out", "e.fastiam", "--unknown-owner", "deny")
    request = (ANA, "s3:GetObject", "arn:aws:s3:::other/k")
    assert call("explain", "--engine", "e.fastiam", *request)[0] == 2
    assert call("explain", "--policies", "d.json", *request)[0] == 0
    code, _, err = call("explain", "--engine", "e.fastiam", "--unknown-owner", "deny", *request)
    assert code == 64 and "an engine has the --unknown-owner of its compilation" in err


@pytest.mark.parametrize("where", [(), ("--policies", "d.json", "--engine", "e.fastiam")])
def test_policies_come_from_one_place(compiled, where):
    code, _, err = compiled("explain", *where, *REQUEST)
    assert code == 64 and "give either --policies or --engine" in err
    code, _, err = compiled("diff", "--new", "d.json")
    assert code == 64 and "give either --old or --old-engine" in err


def test_file_of_the_wrong_kind_is_reported_with_its_kind(compiled, tmp_path):
    code, _, err = compiled("explain", "--engine", "d.json", *REQUEST)
    assert code == 1 and "d.json: is not a saved engine" in err and "fastiam compile --out" in err
    code, _, err = compiled("explain", "--policies", "e.fastiam", *REQUEST)
    assert code == 1 and "e.fastiam: is an engine file, not a file of policies" in err and "--engine" in err
    (tmp_path / "cut").write_bytes((tmp_path / "e.fastiam").read_bytes()[:-1])
    code, _, err = compiled("explain", "--engine", "cut", *REQUEST)
    assert code == 1 and "cut: is truncated" in err and "fastiam compile PATHS --out FILE" in err


def test_the_step_is_shown_on_a_terminal(call, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    _, _, err = call("compile", "d.json", "--out", "e.fastiam")
    assert "compiling" in err or "writing" in err or "reading policies" in err


def test_unwritable_engine_file_is_reported(call):
    code, _, err = call("compile", "d.json", "--out", f"absent/{A}.fastiam")
    assert code == 1 and "there is no folder" in err
