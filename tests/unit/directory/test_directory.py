"""`Directory` as a whole: it is written and read back without loss, in JSON and in YAML, and follows its schema."""

from __future__ import annotations

import json
import random
from importlib.resources import files

import directory_generators as directory_worlds
import jsonschema
import pytest
import runners
import yaml
from complete_directory import (
    ANA,
    everything,
)
from seeds import seeds

import fastiam
from fastiam import Directory
from fastiam.resolve.snapshot import Snapshot


def contents(snapshot: Snapshot) -> list:
    """Everything that a snapshot knows, policies compared by their statements and names."""
    return [
        sorted(snapshot.principals(), key=lambda profile: profile.name),
        list(snapshot.accounts()),
        list(snapshot.endpoints()),
        [snapshot.facts(arn) for arn, _ in snapshot.resources()],
        [snapshot.facts(arn) for arn in sorted(snapshot.entity_resources())],
    ]


@pytest.fixture(scope="module")
def schema() -> dict:
    return json.loads(files("fastiam").joinpath("schema/directory-v1.json").read_text())


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_everything_survives_writing_and_loading(tmp_path, suffix):
    directory = everything()
    path = tmp_path / f"directory.{suffix}"
    if suffix == "json":
        directory.dump(path)
    else:
        path.write_text(yaml.safe_dump(json.loads(directory.to_json())))
    again = fastiam.load(path, mode="strict")
    assert contents(again.snapshot()) == contents(directory.snapshot())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    if suffix == "json":
        assert json.loads(again.to_json()) == json.loads(directory.to_json())


def test_records_survive_writing_and_loading_one_by_one(tmp_path):
    """All records survive, also those that no decision reads. Texts are unchanged; objects are serialised again."""
    directory = everything()
    directory.dump(tmp_path / "d.json")
    again = fastiam.load(tmp_path / "d.json").tables
    for policy in directory.tables.managed.values():  # of which one version was text
        read = again.managed[policy.arn]
        assert (read.default, read.unique_id, read.tags) == (policy.default, policy.unique_id, policy.tags)
        assert list(read.versions) == list(policy.versions)
    tables = ("accounts", "groups", "instance_profiles", "saml_providers", "oidc_providers", "roles")
    for table in (*tables, "trust_anchors", "revocation_lists", "roles_anywhere_profiles", "identity_pools"):
        assert getattr(again, table) == getattr(directory.tables, table), table
    for arn, entity in directory.tables.entities.items():
        assert again.entities[arn] == entity
    assert again.organization == directory.tables.organization


def test_directory_json_follows_the_schema(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(everything().to_json()))


@pytest.mark.parametrize("seed", seeds(8, 40))
def test_a_random_directory_survives_writing_and_loading(tmp_path, schema, seed):
    made = directory_worlds.make_directory(random.Random(seed), rows=6)
    directory = runners.build_directory(made["directory"], made["mode"])
    path = tmp_path / "directory.json"
    directory.dump(path)
    again = fastiam.load(path)
    assert contents(again.snapshot()) == contents(directory.snapshot())
    assert again.to_json() == directory.to_json()
    jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text()))


def test_the_lab_account_survives_writing_and_loading(shared, tmp_path, schema):
    directory = fastiam.load(shared / "gaad-lab-account.json.gz")
    directory.dump(tmp_path / "lab.json")
    again = fastiam.load(tmp_path / "lab.json")
    assert contents(again.snapshot()) == contents(directory.snapshot())
    jsonschema.Draft202012Validator(schema).validate(json.loads(directory.to_json()))


def test_number_tokens_and_text_documents_survive():
    """G12: the source token counts."""
    text = ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*",'
            '"Condition":{"StringEquals":{"s3:max-keys":1.0}}}}')  # fmt: skip
    directory = Directory()
    directory.add_principal(ANA, identity_policies=text)
    assert '"s3:max-keys":1.0' in directory.to_json()


def test_directory_repr_counts_its_records():
    expected = "3 accounts, 3 principals, 1 groups, 1 managed policies, 3 resources, 0 findings"
    assert repr(everything()) == f"<Directory, strict: {expected}>"
