# ruff: noqa: F811  (`call` is a fixture)
"""`--profile FILE`: defaults of options and context keys, read only from a file that is named."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from cli_analysis_directory import APP, KEY, Run, call  # noqa: F401  (a fixture)

from fastiam.cli.main import fastiam as group

PROFILE = """
policies = ["d.json"]
format = "json"
resource-account = "111111111111"
unknown = ["aws:SourceVpc"]

[context]
"aws:SourceIp" = "198.51.100.7"
"x:groups" = ["a", "b"]
"""
ASKED = "explain", APP, "s3:PutObject", KEY


@pytest.fixture(autouse=True)
def profile(call: Run) -> None:
    Path("p.toml").write_text(PROFILE)


def test_profile_gives_options_and_keys(call: Run) -> None:
    code, out, err = call(*ASKED, "--profile", "p.toml")
    found = json.loads(out)
    assert (code, found["decision"]["outcome"], found["resource_account"]) == (0, "ALLOW", "111111111111"), err
    assert found["decision"]["assumed_owner"] is False


def test_time_without_a_zone_has_a_hint_of_the_command_line(call: Run) -> None:
    Path("p.toml").write_text(PROFILE + '"x:at" = 2026-11-25T09:00:00\n')
    code, _, err = call(*ASKED, "--profile", "p.toml")
    assert code == 1 and "a datetime needs a time zone - at `x:at`\nhelp: write it with its zone, such as `2026-" in err


def test_options_replace_those_of_the_profile(call: Run) -> None:
    Path("c.json").write_text('{"aws:sourceip": "203.0.113.9"}')
    for more in (("--context", "aws:SourceIp=203.0.113.9"), ("--context-file", "c.json")):
        code, out, _ = call(*ASKED, "--profile", "p.toml", "--format", "text", *more)
        assert code == 2 and out.startswith("DENIED")


def test_verb_leaves_out_options_of_other_verbs(call: Run) -> None:
    Path("r.csv").write_text(f"principal,action,resource\n{APP},s3:PutObject,{KEY}\n")
    Path("p.toml").write_text(PROFILE.replace('format = "json"', "threads = 2"))
    code, out, err = call("authorize", "--requests", "r.csv", "--out", "-", "--profile", "p.toml")
    assert code == 0 and json.loads(out)["outcome"] == "ALLOW", err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("polices = []", "no verb has the option `--polices`\nhelp: did you mean `policies`?"),
        ("context = 1", "`context` is a table of keys and values"),
        ("= 1", "not TOML"),
        ('unknown-owner = "other"', "'other' is not one of"),
    ],
)
def test_profile_that_cannot_be_read_is_wrong_usage(text: str, message: str, call: Run) -> None:
    Path("p.toml").write_text(text)
    code, _, err = call(*ASKED, "--policies", "d.json", "--profile", "p.toml")
    assert code == 64 and message in err


def test_file_of_the_folder_is_not_read_by_itself(call: Run) -> None:  # GC29
    for name in ("fastiam.toml", "profile.toml", ".fastiam.toml", "pyproject.toml"):
        Path(name).write_text(PROFILE)
    assert call(*ASKED)[0] == 64, "there are no policies"
    assert call(*ASKED, "--policies", "d.json")[0] == 2, "and no context"


def test_each_verb_with_a_context_takes_files_of_it() -> None:
    found = {}
    for name in ("authorize", "simulate", "explain", "who-can", "what-can", "diff", "replay"):
        command = group.get_command(None, name)  # type: ignore[arg-type]
        assert isinstance(command, click.Command)
        found[name] = {opt for param in command.params for opt in param.opts}
    assert all({"--context", "--context-file", "--profile"} <= options for options in found.values()), found
