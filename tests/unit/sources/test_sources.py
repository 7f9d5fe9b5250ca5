"""`fastiam.load`: account exports and the directory format, detected by content, with located findings and errors."""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import jsonschema
import pytest
from account_exports import ALLOW, ANA, AWS, DEP, MANAGED, TRUST, A, B, attached, codes, export, managed, names, write

import fastiam
from fastiam import PolicyError, SourceError


def native(**sections) -> dict:
    return {"format": "fastiam-directory", "version": 1} | sections


# -- account exports -----------------------------------------------------------------------------------------------------

FORMS = {
    "objects": lambda document: document,
    "JSON text": json.dumps,
    "URL-encoded text": lambda document: quote(json.dumps(document)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_export_becomes_a_directory(tmp_path, form, mode):
    directory = fastiam.load(write(tmp_path, "export.json", export(FORMS[form])), mode=mode)
    snapshot = directory.snapshot()
    ana, dep = snapshot.principal(ANA), snapshot.principal(DEP)
    assert names(directory, ANA) == ["own", MANAGED, "of-group", AWS]
    assert (ana.unique_id, dep.unique_id, len(ana.boundary), ana.bounded) == ("AIDAANA", "AROADEP", 1, True)
    assert ana.keys["aws:principaltag/team"].values == ("r",)
    trust = snapshot.facts(DEP)
    role, profile = directory.tables.entities[DEP], directory.tables.instance_profiles[f"arn:aws:iam::{A}:instance-profile/web"]
    assert (role.max_session_duration, profile.role, profile.unique_id) == (7200, DEP, "AIPAWEB")
    assert trust.governs == "trust" and trust.policies[0].statements[0].actions == ("sts:AssumeRole",)
    assert directory.findings == ()


def pages(*, last: bool = True) -> list[dict]:
    whole = export()
    cut = [
        {name: whole[name], "IsTruncated": True, "Marker": "m"}
        for name in ("UserDetailList", "RoleDetailList", "GroupDetailList")
    ]
    return [*cut, {"Policies": whole["Policies"], "IsTruncated": not last}]


@pytest.mark.parametrize("together", [True, False])
def test_export_pages_load_in_any_order(tmp_path, together):
    """A user may come before its group, and both before their policies."""
    if together:
        paths = [write(tmp_path, "pages.json", pages())]
    else:
        paths = [write(tmp_path, f"{i}.json", page) for i, page in enumerate(pages())]
    directory = fastiam.load(*paths)
    assert names(directory, ANA) == ["own", MANAGED, "of-group", AWS]
    assert directory.findings == ()


def test_export_without_its_last_page_is_a_finding(tmp_path):
    path = write(tmp_path, "pages.json", pages(last=False))
    assert codes(fastiam.load(path)) == ["GAAD-TRUNCATED"]
    with pytest.raises(SourceError, match="last page is missing"):
        fastiam.load(path, mode="strict")


def test_several_accounts_share_their_aws_managed_policies(tmp_path):
    other = json.loads(json.dumps(export()).replace(A, B))
    directory = fastiam.load(write(tmp_path, "a.json", export()), write(tmp_path, "b.json", other))
    snapshot = directory.snapshot()
    shared = [snapshot.principal(ANA.replace(A, account)).identity_policies[-1] for account in (A, B)]
    assert shared[0] is shared[1]
    assert directory.findings == ()


def test_the_same_policy_with_another_document_is_a_finding(tmp_path):
    other = {"Policies": [managed(AWS, {**ALLOW, "Statement": []})]}
    directory = fastiam.load(write(tmp_path, "a.json", export()), write(tmp_path, "b.json", other))
    assert codes(directory) == ["V5", "GAAD-EXISTS"]


def broken_export(**changes) -> dict:
    """An export in which the one user has other members."""
    whole = export()
    whole["UserDetailList"][0] |= changes
    return whole


STATE = [
    # change of the user, code, the text that names it
    ({"AttachedManagedPolicies": attached(f"{MANAGED}x")}, "GAAD-NO-POLICY", f"{MANAGED}x"),
    ({"PermissionsBoundary": {"PermissionsBoundaryArn": f"{MANAGED}x"}}, "GAAD-NO-BOUNDARY", f"{MANAGED}x"),
    ({"GroupList": ["Eng", "None"]}, "GAAD-NO-GROUP", "None"),
    ({"Arn": f"arn:aws:iam::{A}:user/eng/a:na"}, "GAAD-NAME", "a:na"),
]


@pytest.mark.parametrize(("changes", "code", "named"), STATE)
def test_export_with_missing_parts_has_located_findings(tmp_path, changes, code, named):
    path = write(tmp_path, "export.json", broken_export(**changes))
    finding = next(f for f in fastiam.load(path).findings if f.code == code)
    assert named in finding.message
    assert (finding.source, finding.path) == (str(path), "$.UserDetailList[0]")
    assert json.dumps(export(), indent=2).split("\n")[finding.line - 1].strip() == "{"
    with pytest.raises(SourceError):
        fastiam.load(path, mode="strict")


def test_policy_without_document_keeps_its_position(tmp_path):
    whole = broken_export(
        AttachedManagedPolicies=attached(f"{MANAGED}x"), PermissionsBoundary={"PermissionsBoundaryArn": f"{MANAGED}x"}
    )
    directory = fastiam.load(write(tmp_path, "export.json", whole))
    ana = directory.snapshot().principal(ANA)
    assert names(directory, ANA) == ["own", f"{MANAGED}x", "of-group", AWS]
    assert [policy.name for policy in ana.boundary] == [f"{MANAGED}x"]


@pytest.mark.parametrize("policy", [managed(MANAGED, DefaultVersionId="v1"), managed(MANAGED, PolicyVersionList=[])])
def test_policy_without_its_default_version_denies_everything(tmp_path, policy):
    whole = export() | {"Policies": [policy, managed(AWS)]}
    directory = fastiam.load(write(tmp_path, "export.json", whole))
    assert codes(directory) == ["GAAD-NO-DEFAULT"]
    decision = directory.compile().decide(ANA, "s3:GetObject", "arn:aws:s3:::b/k")
    assert decision.outcome is fastiam.Outcome.EXPLICIT_DENY and decision.indeterminate
    assert (decision.statement.policy, decision.statement.sid) == (MANAGED, "DocumentNotRead")


def test_findings_in_documents_have_file_positions(tmp_path):
    """F5: what AWS has accepted loads, with every finding reported."""
    whole = export()
    whole["RoleDetailList"][0]["RolePolicyList"][0]["PolicyDocument"] = {
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "Get*", "Resource": "*"}],
    }  # fmt: skip
    path = write(tmp_path, "export.json", whole)
    (finding,) = fastiam.load(path).findings
    assert (finding.code, finding.path) == ("V24", "$.RoleDetailList[0].RolePolicyList[0].PolicyDocument.Statement[0].Action")
    assert '"Get*"' in path.read_text().split("\n")[finding.line - 1]
    with pytest.raises(PolicyError, match="V24"):
        fastiam.load(path, mode="strict")


def test_trust_policy_can_name_a_later_role(tmp_path):
    whole = export()
    later = {**whole["RoleDetailList"][0], "Arn": f"arn:aws:iam::{A}:role/Later", "RoleName": "Later"}
    first = {**later, "Arn": DEP, "AssumeRolePolicyDocument": json.loads(json.dumps(TRUST).replace(ANA, later["Arn"]))}
    directory = fastiam.load(write(tmp_path, "export.json", whole | {"RoleDetailList": [first, later]}), mode="strict")
    assert directory.findings == ()


def test_trust_policy_with_unknown_principal_is_a_finding(tmp_path):
    """N32."""
    whole = export()
    whole["RoleDetailList"][0]["AssumeRolePolicyDocument"] = json.loads(json.dumps(TRUST).replace("eng/ana", "eng/nobody"))
    (finding,) = fastiam.load(write(tmp_path, "export.json", whole)).findings
    assert (finding.code, finding.path) == ("N32", "$.RoleDetailList[0].AssumeRolePolicyDocument")


def test_the_lab_account_loads_with_its_findings_listed(shared):
    directory = fastiam.load(shared / "gaad-lab-account.json.gz")
    raw = json.loads(gzip.decompress((shared / "gaad-lab-account.json.gz").read_bytes()))
    profiles = list(directory.snapshot().principals())
    kinds = Counter(":user/" in p.name for p in profiles if not p.name.endswith(":root"))
    assert kinds == {True: 44, False: 78}
    assert (len(raw["GroupDetailList"]), len(raw["Policies"])) == (5, 84)
    assert Counter(codes(directory)) == {"G23": 47, "GAAD-ID": 6}  # users and roles with invented names
    assert all(finding.line > 0 and finding.path.startswith("$.") for finding in directory.findings)
    by_arn = {profile.name: profile for profile in profiles}
    for user in raw["UserDetailList"]:
        attached_ = [p["PolicyArn"] for p in user["AttachedManagedPolicies"]]
        inline = [p["PolicyName"] for p in user.get("UserPolicyList", ())]
        expected = [*inline, *attached_]
        assert [p.name for p in by_arn[user["Arn"]].identity_policies][: len(expected)] == expected
        assert by_arn[user["Arn"]].unique_id == user["UserId"]
    for role in raw["RoleDetailList"]:
        assert len(directory.snapshot().facts(role["Arn"]).policies) == 1


# -- which files ---------------------------------------------------------------------------------------------------------


def test_folder_with_other_files_has_findings(tmp_path):
    write(tmp_path, "b/export.json", export())
    write(tmp_path, "b/trail.json", {"Records": []})
    write(tmp_path, "README.md", "# no data")
    write(tmp_path, ".hidden/broken.json", "{")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(native(endpoints=[{"id": "vpce-1"}])).encode()))
    directory = fastiam.load(tmp_path, skip_unknown=True)
    assert directory.snapshot().principal(ANA).known
    assert directory.snapshot().endpoint("vpce-1").known
    assert {(Path(f.source).name, f.code) for f in directory.findings} == {
        ("trail.json", "SOURCE-SKIPPED"),
        ("README.md", "SOURCE-SKIPPED"),
    }


def test_export_and_directory_format_load_together(tmp_path):
    attachment = native(roles=[{"arn": f"arn:aws:iam::{A}:role/More", "attached_policies": [MANAGED]}])
    directory = fastiam.load(write(tmp_path, "more.json", attachment), write(tmp_path, "export.json", export()), mode="strict")
    assert names(directory, f"arn:aws:iam::{A}:role/More") == [MANAGED]


@pytest.mark.parametrize("content", ["[]", "{}", "null", "3", '{"Records": []}', "text: only", json.dumps([export(), {}])])
def test_file_of_an_unknown_format_is_an_error(tmp_path, content):
    with pytest.raises(SourceError, match="format of the content is unknown") as error:
        fastiam.load(write(tmp_path, "x.json", content))
    assert "get-account-authorization-details" in error.value.hint


def test_policy_document_is_refused_with_the_verbs_for_documents(tmp_path):
    path = write(tmp_path, "own.json", {"Version": "2012-10-17", "Statement": []})
    nothing = f"nothing to load; `{path}`: "
    for given, skips, message in ((path, False, f"{path}:1:1: "), (tmp_path, False, f"{path}:1:1: "), (tmp_path, True, nothing)):
        with pytest.raises(SourceError, match="does not name the user, role or resource that has it") as error:
            fastiam.load(given, skip_unknown=skips)
        assert message in str(error.value) and "`fastiam simulate` decides with documents" in error.value.cli_text()


def test_error_of_a_whole_file_names_no_path(tmp_path):
    with pytest.raises(SourceError) as error:
        fastiam.load(tmp_path / "none.json")
    assert str(error.value) == f"{tmp_path / 'none.json'}: file not found"


def test_load_without_a_readable_file_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="no file to load"):
        fastiam.load()
    with pytest.raises(SourceError, match="nothing to load"):
        fastiam.load(tmp_path)
    with pytest.raises(SourceError, match="file not found"):
        fastiam.load(tmp_path / "none.json")


BYTES = [
    ("cut gzip", gzip.compress(json.dumps(export()).encode())[:-30], "cannot be decompressed", 0),
    ("no UTF-8", b'{"a": "\xff"}', "not UTF-8", 1),
    ("no JSON", b'{\n  "a": }', "not JSON", 2),
    ("cut JSON", json.dumps(export(), indent=1).encode()[:200], "not JSON", None),
    ("deep", b"[" * 100_000, "nested too deeply", 1),
    ("bad YAML", b"format: fastiam-directory\n  version: 1\n", "not YAML", 2),
    ("control character in YAML", b"format: \x01", "not YAML", 0),
    ("deep YAML", b"a: " + b"[" * 20_000, "nested too deeply", 0),
    ("YAML of two documents", b"a: 1\n---\nb: 2\n", "not YAML", 2),
    ("aliases", b"a: &x {b: [1]}\nc: *x\n", "aliases are not supported", 1),
]


@pytest.mark.parametrize(("data", "message", "line"), [row[1:] for row in BYTES], ids=[row[0] for row in BYTES])
def test_broken_file_is_a_located_error(tmp_path, data, message, line):
    path = tmp_path / "broken"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message) as error:
        fastiam.load(path)
    assert error.value.source == str(path)
    assert line is None or error.value.line == line


@pytest.mark.parametrize("mode", ["strict", "lenient"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "x.json",
            '{"RoleDetailList": [{"Arn": "arn:aws:iam::111111111111:role/r", "RoleId": "AROA1", "MaxSessionDuration": %s}]}',
        ),
        ("x.yaml", "RoleDetailList: [{Arn: 'arn:aws:iam::111111111111:role/r', RoleId: AROA1, MaxSessionDuration: %s}]"),
    ],
)
def test_number_with_too_many_digits_is_a_located_error(tmp_path, name, text, mode):
    with pytest.raises(SourceError, match="at most 18 digits") as error:
        fastiam.load(write(tmp_path, name, text % ("9" * 5000)), mode=mode)
    assert error.value.path == "$.RoleDetailList[0].MaxSessionDuration"


def test_version_with_too_many_digits_allows_later_versions():
    arn, directory = "arn:aws:iam::111111111111:policy/P", fastiam.Directory(mode="lenient")
    allow = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    directory.add_managed_policy(arn, versions={"v1": allow, "v" + "9" * 5000: allow}, default_version="v1")
    assert directory.create_policy_version(arn, allow) == "v2"


def test_gzip_data_that_expand_too_far_are_refused(tmp_path, monkeypatch):
    bomb = tmp_path / "x.json.gz"
    bomb.write_bytes(gzip.compress(b" " * (66 << 20)))
    with pytest.raises(SourceError, match="200 times its size"):
        fastiam.load(bomb)
    monkeypatch.setattr("fastiam.sources.gzip_content.MAX_SIZE", 1000)
    export_ = tmp_path / "y.json.gz"
    export_.write_bytes(gzip.compress(json.dumps(export()).encode()))
    with pytest.raises(SourceError, match="more than 1,000 bytes") as error:
        fastiam.load(export_)
    assert error.value.source == str(export_)


def test_yaml_needs_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(SourceError, match="pyyaml"):
        fastiam.load(write(tmp_path, "x.yaml", "format: fastiam-directory"))


# -- our own format ------------------------------------------------------------------------------------------------------

USER = {"arn": ANA}
PROFILE, SAML, OIDC = (f"arn:aws:iam::{A}:{rest}" for rest in ("instance-profile/i", "saml-provider/s", "oidc-provider/x.com"))
BROKEN = [
    # document, message, path, hint
    (native(user=[]), "unknown name `user`", "$.user", "did you mean `users`?"),
    (native(users=[{"arn": ANA, "tag": {}}]), "unknown name `tag`", "$.users[0].tag", "did you mean `tags`?"),
    (native(users=[{"arn": ANA, "zzz": 1}]), "unknown name `zzz`", "$.users[0].zzz", "known names are"),
    (native(users=[{}]), "`arn` is missing", "$.users[0]", ""),
    (native(users=[{"arn": 7}]), "expected text, not a number", "$.users[0].arn", ""),
    (native(users={}), "expected a list, not an object", "$.users", ""),
    (native(users=[7]), "expected an object, not a number", "$.users[0]", ""),
    (native(users=[USER, USER]), "already", "$.users[1]", ""),
    (native(users=[USER | {"groups": ["None"]}]), "not there", "$.users[0]", ""),
    (native(users=[{"arn": DEP + ":x"}]), "not a valid name", "$.users[0]", ""),
    (native(users=[USER | {"tags": {"a": 1}}]), "expected text", "$.users[0].tags.a", ""),
    (native(users=[USER | {"attached_policies": [MANAGED]}]), "document is unknown", "$.users[0]", "add_managed_policy"),
    (native(users=[USER | {"inline_policies": [{"name": "x"}]}]), None, "$.Statement", ""),
    (native(users=[USER | {"inline_policies": [{"document": ALLOW, "nam": "x"}]}]), "unknown name `nam`",
     "$.users[0].inline_policies[0].nam", "did you mean `name`?"),
    (native(users=[USER | {"inline_policies": [True]}]), "expected a policy document", "$.users[0].inline_policies[0]", ""),
    (native(resources=[{"arn": "b"}]), "not a resource", "$.resources[0]", ""),
    (native(resources=[{"arn": "arn:aws:s3:::b", "account": "1"}]), "not an account id", "$.resources[0]", ""),
    (native(endpoints=[{"id": "v", "gateway": "yes"}]), "expected true or false", "$.endpoints[0].gateway", ""),
    (native(organization={"id": "o-1", "accounts": {A: "ou-a"}, "scps": {"ou-b": []}}), "not a root, unit or account",
     "$.organization", ""),
    (native(accounts=[{"id": "1"}]), "not an account id", "$.accounts[0]", ""),
    (native(accounts=[{"id": A, "scps": {}}]), "expected a list", "$.accounts[0].scps", ""),
    (native(roles=[{"arn": DEP, "trust_policy": TRUST}], users=[{"arn": f"{ANA}2"}]), "does not have",
     "$.roles[0].trust_policy", ""),
    (native(managed_policies=[{"arn": MANAGED}]), "`document` is missing", "$.managed_policies[0]", ""),
    (native(managed_policies=[{"arn": ANA, "document": ALLOW}]), "not a managed policy", "$.managed_policies[0]", ""),
    (native(organization={"id": "o-1", "organizational_units": {"ou-a": "ou-b", "ou-b": "ou-a"}}), "is below itself",
     "$.organization", ""),
    (native(organization={"id": "o-1", "organizational_units": {"ou-a": "ou-x"}}), "not in the organisation",
     "$.organization", ""),
    (native(roles=[{"arn": DEP, "max_session_duration": "3600"}]), "expected a whole number",
     "$.roles[0].max_session_duration", ""),
    (native(roles=[{"arn": DEP, "max_session_duration": 60}]), "the limits are 3,600 to 43,200", "$.roles[0]", ""),
    (native(instance_profiles=[{"arn": PROFILE, "role": DEP}]), "does not exist", "$.instance_profiles[0]", ""),
    (native(instance_profiles=[{"arn": PROFILE}, {"arn": PROFILE}]), "already", "$.instance_profiles[1]", ""),
    (native(instance_profiles=[{"arn": ANA}]), "not an instance profile", "$.instance_profiles[0]", ""),
    (native(saml_providers=[{"arn": SAML, "metadata": 7}]), "expected text", "$.saml_providers[0].metadata", ""),
    (native(saml_providers=[{"arn": SAML, "uuid": "x"}]), "not the UUID", "$.saml_providers[0]", "22 to 64"),
    (native(saml_providers=[{"arn": SAML, "encryption": "x"}]), "not an encryption mode", "$.saml_providers[0]", ""),
    (native(saml_providers=[{"arn": SAML, "created": "2026-01-01"}]), "expected an instant", "$.saml_providers[0].created", ""),
    (native(oidc_providers=[{"arn": SAML}]), "not an oidc provider", "$.oidc_providers[0]", ""),
    (native(oidc_providers=[{"arn": OIDC, "client_ids": "x"}]), "expected a list", "$.oidc_providers[0].client_ids", ""),
    (native(oidc_providers=[{"arn": OIDC, "thumbprints": ["x"]}]), "not a thumbprint", "$.oidc_providers[0]", "40 hexadecimal"),
    ({"format": "fastiam-directory"}, "`version` is missing", "$", ""),
    ({"format": "fastiam-directory", "version": 2}, "version `2` of the format is not known", "$.version", "version 1"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "message", "path", "hint"), [row for row in BROKEN if row[1] is not None])
def test_broken_document_is_a_located_error_with_a_hint(tmp_path, document, message, path, hint):
    file = write(tmp_path, "broken.json", document)
    with pytest.raises(SourceError, match=message.replace("(", r"\(")) as error:
        fastiam.load(file, mode="strict")
    assert error.value.path == path
    assert hint in error.value.hint
    assert error.value.line > 0 and f"{file}:{error.value.line}:{error.value.column}: " in str(error.value)


@pytest.mark.parametrize("document", [row[0] for row in BROKEN if row[1] and row[1].startswith(("unknown", "expected", "`"))])
def test_schema_refuses_documents_that_loading_refuses(document):
    schema = json.loads(files("fastiam").joinpath("schema/directory-v1.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(document)  # test_directory.py checks the schema itself


def test_names_that_occur_twice_are_an_error(tmp_path):
    text = f'{{"format": "fastiam-directory", "version": 1,\n "users": [{{"arn": "{ANA}"}}],\n "users": []}}'
    with pytest.raises(SourceError, match="occurs twice"):
        fastiam.load(write(tmp_path, "twice.json", text))
    with pytest.raises(SourceError, match="occurs twice"):
        fastiam.load(write(tmp_path, "twice.yaml", "format: fastiam-directory\nversion: 1\nusers: []\nusers: []\n"))


def test_rejected_document_has_a_file_position(tmp_path):
    bad = {"Version": "2012-10-17", "Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]}
    path = write(tmp_path, "x.json", native(users=[USER | {"inline_policies": [{"name": "bad", "document": bad}]}]))
    with pytest.raises(PolicyError) as error:
        fastiam.load(path, mode="strict")
    (finding,) = error.value.findings
    assert finding.path == "$.users[0].inline_policies[0].document.Statement[0].Effect"
    assert '"allow"' in path.read_text().split("\n")[finding.line - 1]


YAML = f"""\
format: fastiam-directory
version: 1
accounts:
  - id: {A}
users:
  - arn: {ANA}
    tags: {{team: 1, on: yes, none: "null"}}
    inline_policies:
      - name: own
        document:
          Version: 2012-10-17
          Statement:
            - Effect: Allow
              Action: Get*
              Resource: "*"
              Condition: {{NumericEquals: {{"s3:max-keys": 1.50}}, Bool: {{"aws:SecureTransport": true}}}}
"""


def test_yaml_equals_json_and_findings_have_lines(tmp_path):
    path = write(tmp_path, "x.yaml", YAML)
    directory = fastiam.load(path)
    ana = directory.snapshot().principal(ANA)
    assert {k: v.values[0] for k, v in ana.keys.items() if "tag/" in k} == {
        "aws:principaltag/team": "1",
        "aws:principaltag/on": "yes",
        "aws:principaltag/none": "null",
    }
    values = {entry.operator: entry.values for entry in ana.identity_policies[0].statements[0].conditions}
    assert values == {"NumericEquals": ("1.50",), "Bool": ("true",)}
    (finding,) = directory.findings
    assert (finding.code, finding.line, finding.source) == ("V24", 14, str(path))


@pytest.mark.parametrize(
    ("old", "new", "line"), [("tags:", "tag:", 7), (f"arn: {ANA}", "arn: [x]", 6), ("version: 1", "version: 9", 2)]
)
def test_errors_in_yaml_have_lines(tmp_path, old, new, line):
    with pytest.raises(SourceError) as error:
        fastiam.load(write(tmp_path, "x.yaml", YAML.replace(old, new)))
    assert error.value.line == line


def test_deep_elements_without_a_rule_load(tmp_path):
    deep: object = 1
    for _ in range(400):
        deep = [deep]
    text = json.dumps(native(users=[USER | {"inline_policies": [ALLOW | {"Comment": deep}]}]))
    directory = fastiam.load(write(tmp_path, "x.json", text))
    assert codes(directory) == ["V4"]


def test_lone_surrogates_survive_writing_and_loading(tmp_path):
    """V39."""
    odd = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Sid": "\ud800", "Effect": "Allow", "Action": "*", "Resource": "*"}]}
    )
    for text in (odd, odd.replace("\\ud800", "\ud800")):
        directory = fastiam.Directory(mode="lenient")
        directory.add_principal(ANA, identity_policies=[text])
        again = fastiam.load(write(tmp_path, "x.json", directory.to_json()))
        assert again.snapshot().principal(ANA) == directory.snapshot().principal(ANA)
