"""Every value of every format, damaged in every way: one clear error that names the file, or a directory that says what it found.

Nothing else comes out: no other exception, and no allow that the whole files would not give.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from account_exports import A, export
from complete_directory import everything
from iam_collect_files import collected, write
from organization_files import outputs
from seeds import seeds

import fastiam
from fastiam import FastiamError

FORMATS = {
    "export": lambda: {"export.json": export()},
    "native": lambda: {"directory.json": json.loads(everything().to_json())},
    "organization": lambda: {**outputs(), "export.json": export()},
    "collected": collected,
}
VALUES = [None, 7, "x", "", True, [], {}, ["x"], {"x": "y"}, "arn:aws:iam::1:x", "\u0000\ud800"]


def places(value: Any, steps: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value outside of policy documents, whose grammar has tests of its own."""
    yield steps
    if isinstance(value, dict) and "Statement" not in value:
        for key, item in value.items():
            yield from places(item, (*steps, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from places(item, (*steps, i))


def damaged(whole: dict[str, Any], steps: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The files with another value at a place; the place itself taken away where the value is `...`."""
    files = copy.deepcopy(whole)
    *above, last = steps
    at: Any = files
    for step in above:
        at = at[step]
    if value is ...:
        del at[last]
    elif value == "twice":
        at.append(at[last]) if isinstance(at, list) else at.__setitem__(f"{last}2", at[last])
    else:
        at[last] = value
    return files


def loaded(folder: Path) -> fastiam.Directory | None:
    """The directory, or None where one error says what is wrong, and in which file."""
    try:
        return fastiam.load(folder)
    except FastiamError as error:
        assert str(folder) in str(error), f"the error names no file: {error}"
        return None


def callers(directory: fastiam.Directory) -> set[str]:
    """The principals with an allowed request in the undamaged export."""
    asked = "s3:GetObject", "arn:aws:s3:::elsewhere/k"
    engine, names = directory.compile(), [p.name for p in directory.snapshot().principals() if p.known]
    return {name for name in names if engine.is_allowed(name, *asked)}


@pytest.mark.parametrize("part", seeds(1, 4))
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_file_gives_one_error_or_findings(tmp_path, name, part):
    whole, rng = FORMATS[name](), random.Random(f"{name}{part}")
    write(tmp_path, whole)
    before = loaded(tmp_path)
    assert before is not None
    allowed, seen = callers(before), set()
    cuts = [steps for file, content in whole.items() for steps in places(content, (file,)) if len(steps) > 1]
    chosen = [(steps, value) for steps in cuts for value in (*VALUES, ..., "twice")]
    for steps, value in rng.sample(chosen, min(len(chosen), 60)):
        file = str(steps[0])
        write(tmp_path, {file: damaged({file: whole[file]}, steps, value)[file]})
        directory = loaded(tmp_path)
        seen.add(directory is None)
        if directory is not None:
            new = callers(directory) - allowed
            is_own_format = name == "native" or steps[-1] == "partition"  # a value of the directory format is always intended
            assert not new or directory.findings or is_own_format, (steps, value, new)
        write(tmp_path, {file: whole[file]})
    assert seen == {True, False}, "some damage is an error, some is not"


@pytest.mark.parametrize("name", FORMATS)
def test_truncated_file_gives_an_error_or_a_finding(tmp_path, name):
    whole, rng = FORMATS[name](), random.Random(name)
    write(tmp_path, whole)
    for file in rng.sample(sorted(whole), min(len(whole), 6)):
        text = json.dumps(whole[file])
        for at in rng.sample(range(1, len(text)), min(6, len(text) - 1)):
            write(tmp_path, {file: text[:at]})
            directory = loaded(tmp_path)
            found = [finding.code for finding in directory.findings] if directory is not None else []
            is_document = file.endswith(("-policy.json", "policies.json", "/policy.json"))
            assert (directory is None) is not (is_document and "POLICY-NOT-READ" in found), f"{file} cut at {at}"
        write(tmp_path, {file: whole[file]})


@pytest.mark.parametrize("name", FORMATS)
def test_broken_file_leaves_the_directory_unchanged(tmp_path, name):
    directory = fastiam.Directory()
    directory.add_principal(f"arn:aws:iam::{A}:user/there")
    before = directory.to_json()
    files = FORMATS[name]()
    write(tmp_path, {**files, "z-broken.json": '{"format": "fastiam-directory", "version": 1, "users": [{"arn": 7}]}'})
    with pytest.raises(FastiamError):
        fastiam.load(tmp_path, into=directory)
    assert directory.to_json() == before and directory.findings == ()
