"""`Directory` as a whole: it is written and read back without loss, in JSON and in YAML, and follows its schema."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from importlib.resources import files

import directory_generators as directory_worlds
import jsonschema
import pytest
import runners
import yaml

import fastiam
from fastiam import Directory
from fastiam.directory.identity_pool_records import (
    CognitoIdentityProvider,
    IdentityPool,
    MappingRule,
    PrincipalTagMap,
    RoleMapping,
)
from fastiam.directory.records import NotificationSetting, RevocationList, RolesAnywhereProfile, TrustAnchor
from fastiam.resolve.snapshot import Snapshot

A, M = "111111111111", "999999999999"
UUID = "00000000-0000-4000-8000-000000000000"
ANA, DEP, BKT = f"arn:aws:iam::{A}:user/eng/ana", f"arn:aws:iam::{A}:role/ops/Dep", "arn:aws:s3:::bkt"
LOGS = f"arn:aws:logs:eu-west-1:{A}:*"
CREATED = datetime(2026, 1, 31, 12, tzinfo=UTC)
MANAGED = f"arn:aws:iam::{A}:policy/P"
FULL = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ANYONE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ANA}, "Action": "sts:AssumeRole"}]}
RCP = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}


def everything() -> Directory:
    """A directory in which every part of the model occurs."""
    directory = Directory()
    directory.add_account(A, name="main", canonical_id="cafe")
    directory.add_account("222222222222", partition="aws-us-gov")
    directory.add_managed_policy(
        MANAGED, versions={"v1": ALLOW, "v2": json.dumps(ALLOW)}, default_version="v2", unique_id="ANPAP", tags={"of": "p"}
    )
    directory.add_group("Eng", [("g", ALLOW), MANAGED], account=A, unique_id="AGPAENG")
    directory.add_principal(
        ANA, identity_policies=[("own", ALLOW), ALLOW, MANAGED], permissions_boundary=MANAGED, tags={"Team": "r"},
        unique_id="AIDAANA", groups=["Eng"],
    )  # fmt: skip
    directory.add_principal(DEP, permissions_boundary=[], trust_policy=TRUST, unique_id="AROADEP", max_session_duration=43_200)
    directory.add_principal(f"{DEP}2")
    directory.create_instance_profile(f"arn:aws:iam::{A}:instance-profile/x/web", role=DEP, tags={"of": "i"})
    directory.create_instance_profile(f"arn:aws:iam::{A}:instance-profile/empty", unique_id=None)
    directory.create_saml_provider(
        f"arn:aws:iam::{A}:saml-provider/idp", metadata="<ü>\n", tags={"of": "s"},
        encryption="Allowed", created=CREATED,
    )  # fmt: skip
    directory.create_oidc_provider(
        f"arn:aws:iam::{A}:oidc-provider/x.com/y",
        client_ids=["b", "a"],
        thumbprints=["0" * 40],
        tags={"of": "o"},
        created=CREATED,
        keys='{"keys": []}',
    )
    add_roles_anywhere(directory)
    add_identity_pools(directory)
    directory.add_resource(BKT, account=A, policy=ANYONE, tags={"e": "x"}, restrict_public_buckets=True)
    directory.add_resource(LOGS, policy=[ANYONE, ("second", ANYONE)])
    directory.add_resource("arn:aws:s3:::free")
    directory.add_endpoint("vpce-1", policy=ANYONE, account=A, gateway=True)
    directory.add_endpoint("vpce-2", policy=[])
    directory.add_endpoint("vpce-3")
    directory.set_organization(
        "o-1", management_account=M, root="r-9", organizational_units={"ou-a": "r-9", "ou-b": "ou-a"}, accounts={A: "ou-b"},
        delegated_administrators={A: ["iam.amazonaws.com"]}, policy_types=["SERVICE_CONTROL_POLICY"],
        scps={"ou-a": [FULL, ("scp", ALLOW)], A: []}, rcps={"r-9": RCP},
    )  # fmt: skip
    directory.set_scps(A, [[FULL], [ALLOW], []])
    directory.set_rcps(A, [])
    return directory


def add_roles_anywhere(directory: Directory) -> None:
    """Records of IAM Roles Anywhere, each with every field."""
    place = f"arn:aws:rolesanywhere:eu-west-1:{A}"
    common = {"account": A, "enabled": True, "tags": {"of": "r"}, "created": CREATED, "updated": CREATED}
    anchor, id_ = f"{place}:trust-anchor/{UUID}", UUID
    settings = (
        NotificationSetting("CA_CERTIFICATE_EXPIRY", True, 45, "ALL"),
        NotificationSetting("END_ENTITY_CERTIFICATE_EXPIRY"),
    )
    directory.add_roles_anywhere(
        TrustAnchor(
            anchor, name="ca", certificates="pem\n", acm_pca_arn="arn:aws:acm-pca:x", crls_missing=True,
            notification_settings=settings, **common,
        )
    )  # fmt: skip
    directory.add_roles_anywhere(RevocationList(f"{place}:crl/{id_}", name="crl", trust_anchor=anchor, data="pem", **common))
    directory.add_roles_anywhere(
        RolesAnywhereProfile(
            f"{place}:profile/{id_}", name="hosts", role_arns=(DEP,), session_policy="{}", managed_policy_arns=(MANAGED,),
            duration_seconds=900, accept_role_session_name=True, require_instance_properties=True,
            attribute_mappings={"x509Subject": ("CN",), "x509Issuer": (), "x509SAN": ("DNS",)}, **common,
        )
    )  # fmt: skip
    bare = id_.replace("0", "1")
    directory.add_roles_anywhere(RolesAnywhereProfile(f"{place}:profile/{bare}", A, "bare"))


def add_identity_pools(directory: Directory) -> None:
    """Cognito identity pools: one with every field, one without any that has a default."""
    rule = MappingRule("custom:dept", "Equals", "Sales", DEP)
    directory.add_identity_pool(
        IdentityPool(
            identity_pool_id=f"eu-west-1:{UUID}", account=A, identity_pool_name="app", allow_unauthenticated_identities=True,
            created=CREATED, allow_classic_flow=True, supported_login_providers={"www.amazon.com": "a"},
            developer_provider_name="login.app", open_id_connect_provider_arns=(f"arn:aws:iam::{A}:oidc-provider/x.example",),
            cognito_identity_providers=(CognitoIdentityProvider("p", "c", True), CognitoIdentityProvider("p", "d")),
            saml_provider_arns=(f"arn:aws:iam::{A}:saml-provider/idp",), identity_pool_tags={"of": "q"},
            roles={"authenticated": DEP, "unauthenticated": DEP},
            role_mappings={"p:c": RoleMapping("Token", "Deny"), "p:d": RoleMapping("Rules", "AuthenticatedRole", (rule,))},
            tag_maps={"p": PrincipalTagMap(True), "q": PrincipalTagMap(principal_tags={"team": "group"})},
        )
    )  # fmt: skip
    bare = f"eu-west-1:{UUID.replace('0', '1')}"
    directory.add_identity_pool(
        IdentityPool(
            identity_pool_id=bare, account=A, identity_pool_name="bare", allow_unauthenticated_identities=False, created=CREATED
        )
    )


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
    """Not only what decides: everything that was told. Texts are as they were; objects are written anew."""
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


def test_what_is_written_follows_the_schema(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(everything().to_json()), schema)


@pytest.mark.parametrize("seed", range(40))
def test_a_random_directory_survives_writing_and_loading(tmp_path, schema, seed):
    made = directory_worlds.make_directory(random.Random(seed), rows=6)
    directory = runners.build_directory(made["directory"], made["mode"])
    path = tmp_path / "directory.json"
    directory.dump(path)
    again = fastiam.load(path)
    assert contents(again.snapshot()) == contents(directory.snapshot())
    assert again.to_json() == directory.to_json()
    jsonschema.validate(json.loads(path.read_text()), schema)


def test_the_lab_account_survives_writing_and_loading(shared, tmp_path, schema):
    directory = fastiam.load(shared / "gaad-lab-account.json.gz")
    directory.dump(tmp_path / "lab.json")
    again = fastiam.load(tmp_path / "lab.json")
    assert contents(again.snapshot()) == contents(directory.snapshot())
    jsonschema.validate(json.loads(directory.to_json()), schema)


def test_number_tokens_and_text_documents_survive():
    """G12: the source token counts."""
    text = ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*",'
            '"Condition":{"StringEquals":{"s3:max-keys":1.0}}}}')  # fmt: skip
    directory = Directory()
    directory.add_principal(ANA, identity_policies=text)
    assert '"s3:max-keys":1.0' in directory.to_json()


def test_a_directory_says_what_it_holds():
    expected = "3 accounts, 3 principals, 1 groups, 1 managed policies, 3 resources, 0 findings"
    assert repr(everything()) == f"<Directory, strict: {expected}>"
