"""The forms of principal strings (spec N3)."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from fastiam.directory.principal_refs import DNS_SUFFIXES, parse_principal
from fastiam.model.profile import PrincipalKind


def test_dns_suffixes_are_those_of_the_partitions_of_botocore() -> None:
    partitions = json.loads(files("botocore").joinpath("data/partitions.json").read_text())["partitions"]
    assert set(DNS_SUFFIXES) == {partition["outputs"]["dnsSuffix"] for partition in partitions}


@pytest.mark.parametrize("suffix", DNS_SUFFIXES)
def test_service_of_each_partition_is_a_principal(suffix: str) -> None:
    assert parse_principal(f"sqs.some-region-1.{suffix}").kind is PrincipalKind.SVC


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_long_text_of_no_form_is_refused_quickly(size: int) -> None:
    """The patterns read a text once, whatever it is made of."""
    for piece in ("a", "a.", "a-", ".", "9"):
        with pytest.raises(ValueError, match="is not a principal"):
            parse_principal(piece * (size // len(piece)) + "!")
