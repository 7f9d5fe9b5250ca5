"""The readers of a directory: listings, records, documents, attachments, findings, and the `repr` of the big objects."""

from __future__ import annotations

import json

import pytest

import fastiam
from fastiam import DirectoryError, PolicyKind

A, B = "111111111111", "222222222222"
ANA, BOB, DEP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{B}:user/bob", f"arn:aws:iam::{A}:role/Dep"
ENG, OWN, AWS = f"arn:aws:iam::{A}:group/Eng", f"arn:aws:iam::{A}:policy/P", "arn:aws:iam::aws:policy/ReadOnlyAccess"
BUCKET, QUEUE, ENDPOINT = "arn:aws:s3:::b", f"arn:aws:sqs:eu-west-1:{B}:q", "vpce-0a"
MARK = "kept-out-of-every-repr"


def allow(**more):
    return {"Version": "2012-10-17", "Statement": [{"Sid": MARK.replace("-", ""), "Effect": "Allow", "Action": "s3:*"} | more]}


ALLOW = allow(Resource="*")


@pytest.fixture
def directory() -> fastiam.Directory:
    made = fastiam.Directory()
    for arn in (OWN, AWS):
        made.add_managed_policy(arn, ALLOW, tags={"a": "1"} if arn == OWN else {})
    made.create_policy_version(OWN, allow(Resource="arn:aws:s3:::x"))
    made.add_group("Eng", account=A, identity_policies=[("shared", ALLOW), AWS])
    made.add_principal(
        ANA, identity_policies=[("own", ALLOW), OWN], permissions_boundary=AWS, groups=["Eng"], tags={"team": MARK}
    )
    made.add_principal(BOB)
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ANA}, "Action": "sts:AssumeRole"}]}
    made.add_principal(DEP, trust_policy=trust, permissions_boundary=ALLOW)
    made.add_resource(BUCKET, account=A, policy=allow(Resource="*", Principal="*"), tags={"env": "prod"})
    made.add_resource(QUEUE)
    made.add_endpoint(ENDPOINT, policy=allow(Resource="*", Principal="*"), account=A)
    made.set_organization("o-abcdefghij", root="r-abcd", accounts={A: None, B: None}, scps={"r-abcd": [("limit", ALLOW)]})
    return made


def test_listings_name_everything_or_what_belongs_to_one_account(directory):
    assert directory.accounts() == (A, B)
    assert (directory.principals(), directory.principals(A), directory.principals(B)) == ((ANA, BOB, DEP), (ANA, DEP), (BOB,))
    assert (directory.groups(), directory.groups(B), directory.members(ENG)) == ((ENG,), (), (ANA,))
    assert (directory.policies(), directory.policies(A), directory.policies("aws")) == ((OWN, AWS), (OWN,), (AWS,))
    assert (directory.resources(), directory.resources(A), directory.resources(B)) == ((BUCKET, QUEUE), (BUCKET,), (QUEUE,))
    assert directory.endpoints() == (ENDPOINT,)


def test_listings_of_an_account_follow_every_write(directory):
    def write_and_fail():
        with directory.transaction():
            directory.add_principal(ANA + "3")
            directory.delete_principal(BOB)
            directory.add_group("Late", account=B)
            raise ZeroDivisionError

    writes = [
        lambda: directory.rename(ANA, "ana2", path="/x/"),
        lambda: directory.add_principal(BOB + "2", groups=[], tags={"a": "1"}),
        lambda: directory.tag(BOB, {"a": "1"}),
        lambda: directory.delete_principal(BOB),
        lambda: directory.add_principal(BOB),
        lambda: directory.rename(ENG, "Engineers"),
        lambda: directory.add_managed_policy(OWN + "2", ALLOW),
        lambda: directory.delete_policy(OWN + "2"),
        lambda: pytest.raises(ZeroDivisionError, write_and_fail),
    ]
    for write in writes:
        write()
        for listing in (directory.principals, directory.groups, directory.policies):
            for account in (A, B, "aws", "999999999999"):
                assert listing(account) == tuple(arn for arn in listing() if arn.split(":")[4] == account)


def test_one_record_holds_what_was_written(directory):
    ana, role = directory.principal(ANA), directory.principal(DEP)
    assert (ana.attached, ana.groups, ana.boundary, ana.tags) == ((OWN,), (ENG,), (AWS,), {"team": MARK})
    assert [stored.name for stored in ana.inline] == ["own"] and role.trust.name == DEP
    assert directory.group(ENG).attached == (AWS,)
    assert (directory.policy(OWN).default, sorted(directory.policy(OWN).versions)) == ("v1", ["v1", "v2"])
    assert directory.account(B).partition == "aws"
    assert (directory.resource(BUCKET).account, directory.resource(BUCKET).tags) == (A, {"env": "prod"})
    assert directory.endpoint(ENDPOINT).account == A


def test_a_record_that_is_changed_changes_no_directory(directory):
    directory.principal(ANA).tags["team"] = "red"
    directory.resource(BUCKET).tags.clear()
    directory.policy(OWN).versions.clear()
    assert directory.principal(ANA).tags == {"team": MARK} and directory.resource(BUCKET).tags
    assert directory.compile().decide(ANA, "s3:GetObject", "arn:aws:s3:::b/k").allowed


UNKNOWN = [
    ("account", "333333333333", ""),
    ("principal", ANA.replace("ana", "anna"), f"did you mean `{ANA}`"),
    ("group", ENG.replace("Eng", "Engi"), f"did you mean `{ENG}`"),
    ("members", "Eng", ""),
    ("policy", OWN + "2", f"did you mean `{OWN}`"),
    ("resource", BUCKET + "b", f"did you mean `{BUCKET}`"),
    ("endpoint", "x", ""),
    ("documents", "x", "by its ARN or id"),
]


@pytest.mark.parametrize(("reader", "name", "hint"), UNKNOWN, ids=[row[0] for row in UNKNOWN])
def test_missing_record_is_an_error_with_the_nearest_name(directory, reader, name, hint):
    with pytest.raises(DirectoryError, match="there is no") as error:
        getattr(directory, reader)(name)
    assert hint in str(error.value)


def test_documents_are_all_that_the_directory_holds(directory):
    found = [(d.owner, d.name, d.kind, d.version, d.in_force) for d in directory.documents()]
    assert found == [
        (ANA, "own", PolicyKind.IDENTITY, None, True),
        (DEP, "permissions_boundary[0]", PolicyKind.BOUNDARY, None, True),
        (DEP, DEP, PolicyKind.TRUST, None, True),
        (ENG, "shared", PolicyKind.IDENTITY, None, True),
        (OWN, OWN, PolicyKind.IDENTITY, "v1", True),
        (OWN, OWN, PolicyKind.IDENTITY, "v2", False),
        (AWS, AWS, PolicyKind.IDENTITY, "v1", True),
        (BUCKET, BUCKET, PolicyKind.RESOURCE, None, True),
        (ENDPOINT, ENDPOINT, PolicyKind.VPCE, None, True),
        ("r-abcd", "limit", PolicyKind.SCP, None, True),
    ]
    for owner in {document.owner for document in directory.documents()}:
        assert directory.documents(owner) == tuple(d for d in directory.documents() if d.owner == owner)
    assert directory.documents(BOB) == () == directory.documents(QUEUE) == directory.documents(B)
    assert directory.documents(ANA)[0].parsed() == ALLOW


def test_loaded_directory_has_the_documents_it_was_written_with(directory, tmp_path):
    directory.dump(tmp_path / "d.json")
    with fastiam.Directory.open(tmp_path / "store.db") as store:
        fastiam.load(tmp_path / "d.json", into=store)
        loaded = fastiam.load(tmp_path / "store.db")
        for other in (store, loaded):
            assert sorted(map(repr, other.documents())) == sorted(map(repr, directory.documents()))
            assert [d.parsed() for d in other.documents(ANA)] == [ALLOW]


def test_attachments_list_where_a_managed_policy_is_attached(directory):
    assert directory.attachments(AWS) == fastiam.Attachments(attached_to=(ENG,), boundary_of=(ANA,))
    assert directory.attachments(OWN) == fastiam.Attachments(attached_to=(ANA,), boundary_of=())
    assert directory.attachments(f"{OWN}x") == fastiam.Attachments((), ())


def test_the_repr_of_big_objects_shows_counts_and_no_document(directory, tmp_path):
    engine = directory.compile()
    engine.save(tmp_path / "e.fi")
    live = fastiam.LiveEngine(directory)
    assert repr(directory) == (
        "<Directory, strict: 2 accounts, 3 principals, 1 groups, 2 managed policies, 2 resources, 0 findings>"
    )
    for made in (engine, fastiam.Engine.load(tmp_path / "e.fi")):
        assert repr(made).startswith("<Engine: ") and " statements" in repr(made) and " principals" in repr(made)
    assert repr(live) == f"<LiveEngine: generation 1, not watching, {directory!r}>"
    with live.watch():
        assert repr(live).startswith("<LiveEngine: generation 1, watching, <Directory, strict: ")
    shown = [*map(repr, (directory, engine, live, directory.documents(), directory.principal(ANA), directory.policy(OWN)))]
    assert not any(MARK.replace("-", "") in text or "Statement" in text for text in shown)


def test_the_repr_of_a_live_engine_names_the_kind_of_its_error(directory, tmp_path):
    directory.dump(tmp_path / "d.json")
    live = fastiam.LiveEngine(tmp_path / "d.json")
    (tmp_path / "d.json").write_text("{")
    with pytest.raises(fastiam.SourceError):
        live.refresh()
    assert repr(live).startswith("<LiveEngine: generation 1, not watching, SourceError, <Directory")


def test_the_repr_of_a_store_names_its_file(tmp_path):
    with fastiam.Directory.open(tmp_path / "store.db") as store:
        assert f"store `{tmp_path / 'store.db'}`" in repr(store)


def test_findings_text_has_count_and_first_lines_errors_first(tmp_path):
    weak = {"Version": "2012-10-17", "Statement": {"Sid": "", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    wrong = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3", "Resource": "*"}}
    users = [{"arn": f"{ANA}{i}", "inline_policies": [weak]} for i in range(7)] + [{"arn": BOB, "inline_policies": [wrong]}]
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"format": "fastiam-directory", "version": 1, "users": users}))
    directory = fastiam.load(path)
    first, *lines = str(directory.findings).split("\n")
    assert first == "1 error, 7 warnings" and lines[0].endswith("[V24]") and lines[-1] == "and 3 more"
    assert len(lines) == 6 and "8 findings" in repr(directory)
    assert str(fastiam.Directory().findings) == "no findings"
    assert directory.findings == tuple(directory.findings) and [f.code for f in directory.findings].count("G23") == 7
