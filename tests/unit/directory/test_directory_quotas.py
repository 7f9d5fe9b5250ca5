"""Every quota and name rule of spec 1.7: what a strict directory refuses, a lenient one notes, and another number allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import pytest

from fastiam import Directory, DirectoryError, Quotas, RequestValueError
from fastiam.directory.quotas import size_without_space

A = "111111111111"
IAM = f"arn:aws:iam::{A}"
USER, ROLE, GROUP, POLICY, PROFILE = (f"{IAM}:{t}" for t in ("user/u", "role/r", "group/g", "policy/P", "instance-profile/i"))
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
SAML, OIDC = f"{IAM}:saml-provider", f"{IAM}:oidc-provider"
Write = Callable[[Directory], object]


def sized(n: int, spaces: int = 0, *, kind: str = "identity") -> str:
    """The text of a policy with `n` characters other than white space, and `spaces` of white space."""
    who = '"Principal":{"AWS":"111111111111"},' if kind in ("trust", "vpce") else ""
    who = '"Principal":"*",' if kind == "rcp" else who
    effect = "Deny" if kind == "rcp" else "Allow"
    what = (
        '"Action":"sts:AssumeRole"'
        if kind == "trust"
        else '"Action":"s3:*","Resource":"*"'
        if kind == "rcp"
        else '"Action":"*","Resource":"*"'
    )
    text = f'{{"Version":"2012-10-17","Statement":[{{"Sid":"%s","Effect":"{effect}",{who}{what}}}]}}'
    return text % ("s" * (n - len(text) + 2)) + " " * spaces


def base(**options: object) -> Directory:
    """A user, role and group, and twelve managed policies and groups."""
    directory = Directory(**options)
    directory.add_principal(USER)
    directory.add_principal(ROLE)
    directory.add_group(GROUP)
    for i in range(12):
        directory.add_managed_policy(f"{POLICY}{i}", ALLOW)
        directory.add_group(f"{GROUP}{i}")
    directory.set_organization("o-1", accounts={A: "ou-a"})
    return directory


def each(n: int, write: Callable[[Directory, int], object]) -> Write:
    """`n` writes, one after the other."""

    def several(directory: Directory) -> None:
        for i in range(n):
            write(directory, i)

    return several


@dataclass(frozen=True)
class Row:
    """A rule: what just keeps it, what just breaks it, and the code under which it is found."""

    keeps: Write
    breaks: Write
    code: str = "DIR-QUOTA"


def at(quota: str, n: int, write: Callable[[int], Write]) -> Row:
    """A number that may be reached and not passed, which is the default of a quota."""
    assert getattr(Quotas(), quota) == n
    code = next((code for word, code in CODES.items() if word in quota.split("_")), "DIR-QUOTA")
    return Row(write(n), write(n + 1), code)


CODES = {"tag": "DIR-TAG", "tags": "DIR-TAG", "name": "DIR-NAME", "path": "DIR-NAME"}


def versions(n: int) -> dict[str, object]:
    return {f"v{i}": ALLOW for i in range(1, n + 1)}


def scps(n: int) -> list[object]:
    return [(f"p{i}", ALLOW) for i in range(n)]


QUOTAS = {
    "managed_policy_size": at(  # E031
        "managed_policy_size", 6_144, lambda n: lambda d: d.add_managed_policy(f"{POLICY}x", sized(n, spaces=3_000))
    ),
    "managed_policy_size of a version": at(
        "managed_policy_size", 6_144, lambda n: lambda d: d.create_policy_version(f"{POLICY}0", sized(n, spaces=9))
    ),
    "inline_size_per_user": at("inline_size_per_user", 2_048, lambda n: lambda d: (
        d.put_inline_policy(USER, "a", sized(1_000)), d.put_inline_policy(USER, "b", sized(n - 1_000, 50)))),
    "inline_size_per_group": at("inline_size_per_group", 5_120, lambda n: lambda d: d.put_inline_policy(GROUP, "a", sized(n))),
    "inline_size_per_role": at(
        "inline_size_per_role", 10_240, lambda n: lambda d: d.add_principal(f"{ROLE}2", identity_policies=("a", sized(n)))
    ),
    "trust_policy_size": at(
        "trust_policy_size", 2_048, lambda n: lambda d: d.set_trust_policy(ROLE, sized(n, 99, kind="trust"))
    ),
    "document_size": at("document_size", 131_072, lambda n: lambda d: d.add_managed_policy(f"{POLICY}x", sized(900, n - 900))),
    "endpoint_policy_size": at(
        "endpoint_policy_size", 20_480, lambda n: lambda d: d.add_endpoint("vpce-1", policy=sized(900, n - 900, kind="vpce"))
    ),
    "scp_size": at("scp_size", 10_240, lambda n: lambda d: d.attach_scp("ou-a", ("p", sized(900, n - 900)))),
    "rcp_size": at("rcp_size", 5_120, lambda n: lambda d: d.attach_rcp("ou-a", ("p", sized(900, n - 900, kind="rcp")))),
    "scps_per_element": at("scps_per_element", 10, lambda n: each(n - 1, lambda d, i: d.attach_scp("ou-a", scps(19)[i]))),
    "scps_per_element, as a whole": at(
        "scps_per_element", 10,
        lambda n: lambda d: d.set_organization("o-1", accounts={A: "ou-a"}, scps={"ou-a": scps(n)}),
    ),
    "rcps_per_element": at(
        "rcps_per_element", 5, lambda n: each(n, lambda d, i: d.attach_rcp("ou-a", (f"r{i}", sized(900, kind="rcp"))))
    ),
    "managed_policies_per_user": at(  # E032
        "managed_policies_per_user", 10, lambda n: each(n, lambda d, i: d.attach_policy(USER, f"{POLICY}{i}"))
    ),
    "managed_policies_per_group": at(
        "managed_policies_per_group", 10, lambda n: each(n, lambda d, i: d.attach_policy(GROUP, f"{POLICY}{i}"))
    ),
    "managed_policies_per_role": at(
        "managed_policies_per_role", 10,
        lambda n: lambda d: d.add_principal(f"{ROLE}2", identity_policies=[f"{POLICY}{i}" for i in range(n)]),
    ),
    "groups_per_user": at(  # E033
        "groups_per_user", 10, lambda n: each(n, lambda d, i: d.add_user_to_group(USER, f"{GROUP}{i}"))
    ),
    "groups_per_user, at once": at(
        "groups_per_user", 10, lambda n: lambda d: d.add_principal(f"{USER}2", groups=[f"g{i}" for i in range(n)])
    ),
    "boundaries_per_principal": at("boundaries_per_principal", 1, lambda n: lambda d: (
        d.set_permissions_boundary(USER, [f"{POLICY}{i}" for i in range(n)]))),
    "versions_per_policy": at(
        "versions_per_policy", 5, lambda n: each(n - 1, lambda d, i: d.create_policy_version(f"{POLICY}0", ALLOW))
    ),
    "versions_per_policy, at once": at(
        "versions_per_policy", 5, lambda n: lambda d: d.add_managed_policy(f"{POLICY}x", versions=versions(n))
    ),
    "saml_providers_per_account": at(
        "saml_providers_per_account", 100, lambda n: each(n, lambda d, i: d.create_saml_provider(f"{SAML}/p{i}"))
    ),
    "oidc_providers_per_account": at(
        "oidc_providers_per_account", 100, lambda n: each(n, lambda d, i: d.create_oidc_provider(f"{OIDC}/p{i}.example.com"))
    ),
    "client_ids_per_oidc_provider": at(
        "client_ids_per_oidc_provider", 100,
        lambda n: lambda d: d.create_oidc_provider(f"{OIDC}/p.example.com", client_ids=[f"c{i}" for i in range(n)]),
    ),
    "thumbprints_per_oidc_provider": at(
        "thumbprints_per_oidc_provider", 5,
        lambda n: lambda d: d.create_oidc_provider(f"{OIDC}/p.example.com", thumbprints=[f"{i:040x}" for i in range(n)]),
    ),
    "tags_per_resource": at("tags_per_resource", 50, lambda n: each(n, lambda d, i: d.tag(USER, {f"k{i}": ""})), ),
    "tag_key_length": at("tag_key_length", 128, lambda n: lambda d: d.tag(f"{POLICY}0", {"k" * n: "v"})),
    "tag_value_length": at("tag_value_length", 256, lambda n: lambda d: d.add_principal(f"{USER}2", tags={"k": "v" * n})),
    "user_name_length": at("user_name_length", 64, lambda n: lambda d: d.add_principal(f"{IAM}:user/p/{'u' * n}")),
    "group_name_length": at("group_name_length", 128, lambda n: lambda d: d.add_group("g" * n, account=A)),
    "role_name_length": at("role_name_length", 64, lambda n: lambda d: d.add_principal(f"{IAM}:role/p/{'r' * n}")),
    "policy_name_length": at(
        "policy_name_length", 128, lambda n: lambda d: d.add_managed_policy(f"{IAM}:policy/{'p' * n}", ALLOW)
    ),
    "policy_name_length, inline": at("policy_name_length", 128, lambda n: lambda d: d.put_inline_policy(USER, "p" * n, ALLOW)),
    "instance_profile_name_length": at(
        "instance_profile_name_length", 128, lambda n: lambda d: d.create_instance_profile(f"{IAM}:instance-profile/{'i' * n}")
    ),
    "saml_provider_name_length": at(
        "saml_provider_name_length", 128, lambda n: lambda d: d.create_saml_provider(f"{SAML}/{'s' * n}")
    ),
    "path_length": at("path_length", 512, lambda n: lambda d: d.rename(USER, "u", path=f"/{'p' * (n - 2)}/")),
    "max_session_duration": at("max_session_duration", 43_200, lambda n: lambda d: d.set_max_session_duration(ROLE, n)),
    "min_session_duration": Row(
        lambda d: d.set_max_session_duration(ROLE, 3_600), lambda d: d.set_max_session_duration(ROLE, 3_599)
    ),
}  # fmt: skip
ROWS = QUOTAS | {
    "a tag of other characters": Row(
        lambda d: d.tag(USER, {"Straße 1_.:/=+-@": "día"}), lambda d: d.tag(USER, {"a;b": ""}), "DIR-TAG"
    ),
    "a reserved tag": Row(lambda d: d.tag(USER, {"aw": ""}), lambda d: d.tag(USER, {"AWS:x": ""}), "DIR-TAG"),
    "a user's name of other characters": Row(
        lambda d: d.add_principal(f"{IAM}:user/a_+=,.@-Z9"), lambda d: d.add_principal(f"{IAM}:user/ü"), "DIR-NAME"
    ),
    "a SAML provider's name of other characters": Row(
        lambda d: d.create_saml_provider(f"{SAML}/a._-9"), lambda d: d.create_saml_provider(f"{SAML}/a+b"), "DIR-NAME"
    ),
    "a path with a space": Row(
        lambda d: d.add_group(f"{IAM}:group/!~/h"), lambda d: d.add_group(f"{IAM}:group/a b/h"), "DIR-NAME"
    ),
    "names of groups by case": Row(  # E034
        lambda d: d.add_group("Admins", account=A),
        lambda d: (d.add_group("Admins", account=A), d.add_group("ADMINS", account=A)), "DIR-NAME",
    ),
    "names of instance profiles by case": Row(
        lambda d: d.create_instance_profile(PROFILE),
        lambda d: (d.create_instance_profile(PROFILE), d.create_instance_profile(f"{IAM}:instance-profile/x/I")), "DIR-NAME",
    ),
    "a name that another one has": Row(
        lambda d: d.rename(GROUP, "G"), lambda d: d.rename(GROUP, "G1"), "DIR-NAME"
    ),
    "two inline policies of one name": Row(
        lambda d: d.add_principal(f"{USER}2", identity_policies=[("a", ALLOW), ("A", ALLOW)]),
        lambda d: d.add_principal(f"{USER}2", identity_policies=[("a", ALLOW), ("a", ALLOW)]), "DIR-NAME",
    ),
    "two SCPs of one name": Row(
        lambda d: d.set_organization("o-1", accounts={A: "ou-a"}, scps={A: [("a", ALLOW)], "ou-a": [("a", ALLOW)]}),
        lambda d: d.set_organization("o-1", accounts={A: "ou-a"}, scps={A: [("a", ALLOW), ("a", ALLOW)]}), "DIR-NAME",
    ),
    "a version of another form": Row(
        lambda d: d.add_managed_policy(f"{POLICY}x", versions={"v17": ALLOW}, default_version="v17"),
        lambda d: d.add_managed_policy(f"{POLICY}x", versions={"17": ALLOW}, default_version="17"), "DIR-NAME",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_write_within_a_rule_has_no_finding(name):
    directory = base()
    ROWS[name].keeps(directory)
    assert directory.findings == ()


@pytest.mark.parametrize("name", ROWS)
def test_write_that_breaks_a_rule_names_it_and_changes_nothing(name):
    directory = base()
    with pytest.raises(DirectoryError) as error:
        with directory.transaction():
            before = directory.to_json()
            ROWS[name].breaks(directory)
    assert error.value.rule == ROWS[name].code
    if name in QUOTAS and error.value.rule == "DIR-QUOTA":
        assert quota_of(name).removeprefix("min_").removeprefix("max_") in error.value.message
    assert directory.to_json() == before
    assert directory.findings == ()


@pytest.mark.parametrize("name", ROWS)
def test_an_import_reports_it_and_takes_it(name):
    """Spec 1.7: never an import of existing state."""
    directory = base(mode="lenient")
    before = directory.to_json()
    ROWS[name].breaks(directory)
    assert {finding.code for finding in directory.findings} == {ROWS[name].code}
    assert directory.to_json() != before


@pytest.mark.parametrize("name", QUOTAS)
def test_directory_without_quotas_has_no_limits(name):
    directory = base(quotas=None)
    ROWS[name].breaks(directory)
    assert directory.findings == ()


def test_every_quota_has_a_row():
    assert {*map(quota_of, QUOTAS), *PER_ACCOUNT} == {field.name for field in fields(Quotas)}


def quota_of(name: str) -> str:
    return name.replace(",", " ").split(" ")[0]


PER_ACCOUNT: dict[str, Callable[[Directory, int], object]] = {
    "users_per_account": lambda d, i: d.add_principal(f"{USER}{i}"),
    "groups_per_account": lambda d, i: d.add_group(f"{GROUP}{i}"),
    "roles_per_account": lambda d, i: d.add_principal(f"{ROLE}{i}"),
    "policies_per_account": lambda d, i: d.add_managed_policy(f"{POLICY}{i}", ALLOW),
}


@pytest.mark.parametrize("quota", PER_ACCOUNT)
def test_how_much_an_account_holds_is_limited_on_request(quota):
    """Optional in spec 1.7: large accounts have raised it."""
    assert getattr(Quotas(), quota) is None
    directory = Directory(quotas=Quotas(**{quota: 2}))
    for i in range(2):
        PER_ACCOUNT[quota](directory, i)
    with pytest.raises(DirectoryError, match=quota):
        PER_ACCOUNT[quota](directory, 2)


def test_a_quota_is_a_number_or_none():
    for wrong in (-1, "5", 1.5):
        with pytest.raises(ValueError, match="`groups_per_user` must be a whole number"):
            Quotas(groups_per_user=wrong)
    with pytest.raises(RequestValueError, match="must be a `Quotas` or None"):
        Directory(quotas=5)


def test_policy_size_excludes_white_space_and_counts_characters():
    assert size_without_space('{ "a":\t"b\r\n c" }') == len('{"a":"bc"}')
    directory = Directory()
    directory.add_managed_policy(POLICY, {**ALLOW, "Id": "ü" * 6_000})  # a mapping has no text of its own
    with pytest.raises(DirectoryError, match="managed_policy_size"):
        directory.add_managed_policy(f"{POLICY}2", {**ALLOW, "Id": "ü" * 6_200})


def test_policy_without_a_name_has_no_size_limit():
    """Documents without a name represent the effective policies: `simulate` and tests pass them so."""
    directory = Directory()
    directory.add_principal(USER, identity_policies=[sized(200_000)], permissions_boundary=[sized(9_000), sized(9_000)])
    directory.set_scps(A, [[sized(9_000)]])
    assert directory.findings == ()


def test_policies_of_aws_have_no_size_and_no_number_of_versions():
    arn = "arn:aws:iam::aws:policy/Big"
    directory = Directory()
    directory.add_managed_policy(arn, sized(20_000))
    assert [directory.create_policy_version(arn, ALLOW) for _ in range(6)][-1] == "v7"
