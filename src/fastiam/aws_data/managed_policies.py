"""The AWS managed policies of August 2026, from iann0036/iam-dataset (NOTICE). The file is read on first use."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import orjson

DATE: Final = "August 2026"


class AwsPolicy(NamedTuple):
    """A managed policy of AWS: the id of its default version, and the JSON text of that version."""

    version: str
    text: str


def find(arn: str) -> AwsPolicy | None:
    """The policy with an ARN, or None. Policies that AWS has withdrawn have no ARN in the data, and are not found."""
    line = _lines().get(arn)
    if line is None:
        return None
    record = orjson.loads(line)
    return AwsPolicy(_version(record), orjson.dumps(record["document"]).decode())


def arns() -> Sequence[str]:
    """The ARNs of all policies."""
    return tuple(_lines())


def versions() -> Mapping[str, str]:
    """The ids of the default versions of all policies, by ARN."""
    return {arn: _version(orjson.loads(line)) for arn, line in _lines().items()}


def _version(record: Mapping[str, str | None]) -> str:
    """The id of the version. One record, `PowerUserAccess`, has none."""
    return record["version"] or "v1"


@cache
def _lines() -> Mapping[str, bytes]:
    """The lines of the file by ARN. PERF: as text, since a process needs few of them."""
    lines = gzip.decompress(files(__package__).joinpath("managed_policies.jsonl.gz").read_bytes()).splitlines()
    by_arn = {orjson.loads(line)["arn"]: line for line in lines}
    by_arn.pop(None, None)
    return by_arn
