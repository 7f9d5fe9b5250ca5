"""Principal entries of the specification evaluator: the matrix of 3.3, `NotPrincipal`, and related rules (spec section 3)."""

from dataclasses import replace

import pytest

from fastiam.model.policy import Effect, Policy, PolicyKind, PrincipalEntry, Statement
from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.spec import principal_elements as who
from fastiam.spec.principal_entries import make_request_principal
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, U

A, B = "111111111111", "222222222222"
ANA = f"arn:aws:iam::{A}:user/eng/ana"
DEP = f"arn:aws:iam::{A}:role/ops/Dep"
RUN1 = f"arn:aws:sts::{A}:assumed-role/Dep/run1"
KIO = f"arn:aws:sts::{A}:federated-user/kio"
ROOT = f"arn:aws:iam::{A}:root"
S3, S3_HK = "s3.amazonaws.com", "s3.ap-east-1.amazonaws.com"
IDP = f"arn:aws:iam::{A}:saml-provider/idp"

OF_A = {"partition": "aws", "account": A, "canonical_id": "c0ffee"}
PRINCIPALS = {
    "root": PrincipalProfile(PrincipalKind.ROOT, ROOT, **OF_A),
    "aroot": PrincipalProfile(PrincipalKind.AROOT, ROOT, **OF_A),
    "ana": PrincipalProfile(PrincipalKind.USER, ANA, user_arn=ANA, unique_id="AIDAANA", **OF_A),
    "run1": PrincipalProfile(PrincipalKind.ROLE, RUN1, role_name="Dep", session_arn=RUN1, unique_id="AROADEP", **OF_A),
    "dep": PrincipalProfile(PrincipalKind.ROLE, DEP, role_name="Dep", unique_id="AROADEP", **OF_A),
    "kio": PrincipalProfile(PrincipalKind.FED, KIO, user_arn=ANA, unique_id="AIDAANA", **OF_A),
    "kio?": PrincipalProfile(PrincipalKind.FED, KIO, issuer_known=False, **OF_A),
    "kio root": PrincipalProfile(PrincipalKind.FED, KIO, issuer_root=True, **OF_A),
    "svc": PrincipalProfile(PrincipalKind.SVC, S3, service_names=(S3, S3_HK)),
    "saml": PrincipalProfile(PrincipalKind.SAML, IDP, partition="aws"),
    "anon": PrincipalProfile(PrincipalKind.ANON, "*"),
}


def principals(*entries: str) -> tuple[PrincipalEntry, ...]:
    """Entries from `Type=value`; a bare `*` is the bare star, any other text an `AWS` entry."""
    read = (entry.partition("=") for entry in entries)
    return tuple(
        PrincipalEntry(type_, value) if equals else PrincipalEntry("*" if type_ == "*" else "AWS", type_)
        for type_, equals, value in read
    )


def match(
    principal: str | PrincipalProfile,
    *entries: str,
    effect: Effect = Effect.ALLOW,
    inverted: bool = False,
    kind: PolicyKind = PolicyKind.RESOURCE,
    gateway: bool = False,
    partition: str | None = "aws",
    given: dict[str, ContextValue] | None = None,
    unknown: frozenset[str] = frozenset(),
    residual: Truth = T,
) -> who.PrincipalMatch:
    profile = PRINCIPALS[principal] if isinstance(principal, str) else principal
    statement = Statement(0, None, effect, ("*",), principals=principals(*entries), not_principal=inverted)
    keys = StatementKeys({}, unknown, residual)
    return who.check_principals(
        statement, Policy(kind, True, (statement,)), make_request_principal(profile, partition, given or {}), gateway, keys
    )


ORDER = ("root", "aroot", "ana", "run1", "kio", "svc", "saml", "anon")
MATRIX = {  # the rows of 3.3; `-` no match, `u` undetermined
    "*": "********",
    "AWS=*": "*****uu*",
    A: "DDAAA---",
    ROOT: "DDAAA---",
    B: "--------",
    f"arn:aws:iam::{B}:root": "--------",
    f"arn:aws-cn:iam::{A}:root": "--------",
    ANA: "--D-P---",
    "AIDAANA": "--D-P---",
    "AIDANEW": "--------",
    f"arn:aws:iam::{A}:user/ana": "--------",
    "arn:aws:iam::cloudfront:user/ana": "--------",
    DEP: "---R----",
    f"arn:aws:iam::{A}:role/Dep": "---R----",  # N11
    f"arn:aws:iam::{A}:role/ops/dep": "--------",
    f"arn:aws:iam::{B}:role/ops/Dep": "--------",
    "AROADEP": "---R----",
    RUN1: "---D----",
    f"arn:aws:sts::{A}:assumed-role/Dep/run2": "--------",
    KIO: "----D---",
    f"arn:aws:iam::{A}:group/eng": "--------",
    f"Service={S3}": "-----D--",
    "Service=s3.AMAZONAWS.com": "uuuuuuuu",
    f"Federated={IDP}": "------D-",
    "Federated=accounts.google.com": "--------",
    "CanonicalUser=c0ffee": "DDAAA---",
    "CanonicalUser=beef": "--------",
    # V32, V41
    f"arn:aws:iam::{A}:user/*": "uuuuuuuu",
    "Service=*": "uuuuuuuu",
    "Federated=*": "uuuuuuuu",
    "ana": "uuuuuuuu",
    "User=ana": "uuuuuuuu",
    "=ana": "uuuuuuuu",
    f"arn:aws:sts::{A}:assumed-role/Dep": "uuuuuuuu",
    f"arn:aws:iam:us-east-1:{A}:role/Dep": "uuuuuuuu",
}


@pytest.mark.parametrize("entry", MATRIX)
def test_principal_matching_matrix(entry: str) -> None:  # 3.3
    found = [match(principal, entry, kind=PolicyKind.TRUST) for principal in ORDER]
    expected = MATRIX[entry]
    assert "".join("u" if each.result == U else each.classes or "-" for each in found) == expected
    for each, letter in zip(found, expected, strict=True):
        assert each.result == {"-": F, "u": U}.get(letter, T)
        assert bool(each.possible) is (letter != "-")


def test_several_entries_keep_all_match_classes() -> None:  # 3.2, D51
    assert match("run1", DEP, A, RUN1).classes == "DRA"
    assert match("run1", "nonsense", B) == who.PrincipalMatch(U, "", "D")
    assert match("run1", "nonsense", DEP) == who.PrincipalMatch(T, "R", "DR")


def test_provider_matches_only_in_trust_policies() -> None:  # V35, E134
    assert match("saml", f"Federated={IDP}").result is F


def test_federated_user_with_unknown_issuer_is_undetermined() -> None:  # N4, E139
    assert match("kio?", ANA) == who.PrincipalMatch(U, "", "P")
    assert match("kio?", "AIDAOTHER") == who.PrincipalMatch(U, "", "P")
    assert match("kio?", f"arn:aws:iam::{B}:user/ana").result is F
    assert match("kio root", ANA).result is F


def test_role_as_request_principal_is_an_unknown_session() -> None:  # N5, E140
    assert match("dep", RUN1) == who.PrincipalMatch(U, "", "D")
    assert match("dep", f"arn:aws:sts::{A}:assumed-role/Other/run1").result is F
    assert match("dep", DEP).classes == "R"


def test_allow_requires_primary_service_name_and_deny_any() -> None:  # N12, E123
    assert match("svc", f"Service={S3_HK}").result is F
    assert match("svc", f"Service={S3_HK}", effect=Effect.DENY).result is T
    given = {"aws:principalservicenameslist": ContextValue(("x.amazonaws.com",), multi=True)}  # K1
    assert match("svc", "Service=x.amazonaws.com", effect=Effect.DENY, given=given).result is T
    assert match("svc", f"Service={S3}", effect=Effect.DENY, given=given).result is T
    assert match("svc", f"Service={S3_HK}", effect=Effect.DENY, given=given).result is F


def test_userid_of_the_request_decides_unique_ids() -> None:  # K1, N30
    deleted = replace(PRINCIPALS["run1"], unique_id=None)
    assert match(deleted, "AROADEP").result is F
    assert match(deleted, "AROADEP", given={"aws:userid": ContextValue(("AROADEP:run1",))}).classes == "R"
    assert match("ana", "AIDAANA", given={"aws:userid": ContextValue(("AIDANEW",))}).result is F
    several = {"aws:userid": ContextValue(("AIDAANA", "AIDANEW"), multi=True)}
    assert match("ana", "AIDAANA", given=several).result == U


def test_unknown_userid_makes_unique_ids_residual() -> None:  # D72
    unknown = frozenset({"aws:userid", "aws:principalservicenameslist"})
    for entry, principal, effect in (
        ("AIDAX", "ana", Effect.ALLOW),
        ("AROAX", "run1", Effect.ALLOW),
        ("Service=x", "svc", Effect.DENY),
    ):
        assert [match(principal, entry, effect=effect, unknown=unknown, residual=residual).result for residual in (T, F)] == [
            T,
            F,
        ]
    assert match("ana", "AROAX", unknown=unknown).result is F
    assert match("svc", "Service=x", unknown=unknown).result is F  # Allow reads the primary name alone
    listed = [
        match("ana", "AIDAX", A, effect=Effect.DENY, inverted=True, unknown=unknown, residual=residual).result
        for residual in (T, F)
    ]
    assert listed == [T, F]  # inside `NotPrincipal` a residual test that holds exempts


def test_bare_account_id_has_the_partition_of_the_resource() -> None:  # N16, E135
    assert match("ana", A, partition="aws-cn").result is F
    assert match("ana", ROOT, partition="aws-cn").classes == "A"
    assert match("ana", A, partition=None).classes == "A"


def test_gateway_endpoint_account_is_its_root_user() -> None:  # N17, E137
    for form in (A, ROOT, "CanonicalUser=c0ffee"):
        assert match("root", form, gateway=True).classes == "D"
        assert match("ana", form, gateway=True).result is F
        assert match("run1", form, gateway=True).result is F
    assert match("ana", "*", gateway=True).classes == "*"


NOT_PRINCIPAL = [  # principal, entries, result of a Deny: `F` is exempt
    ("ana", (ANA, ROOT), F),  # E128
    ("ana", ("AIDAANA", A), F),
    ("ana", (ANA,), T),  # E129
    ("ana", (ROOT,), T),
    ("run1", (DEP, ROOT), T),  # E130
    ("run1", (RUN1, DEP, ROOT), F),
    ("run1", (RUN1, f"arn:aws:iam::{A}:role/Dep", ROOT), F),  # E138
    ("dep", (RUN1, DEP, ROOT), T),  # E140
    ("kio", (KIO, ANA, ROOT), F),
    ("kio", (KIO, ROOT), T),
    ("kio?", (KIO, ANA, ROOT), T),  # E139
    ("kio root", (KIO, ROOT), F),
    ("root", (ROOT,), F),
    ("aroot", (A,), F),
    ("root", (ANA,), T),
    ("svc", (f"Service={S3}",), F),
    ("svc", (f"Service={S3_HK}",), F),
    ("svc", (A,), T),
    ("anon", (A,), T),
    ("anon", ("*",), F),  # N23
    ("dep", ("*",), F),
    ("svc", ("AWS=*",), F),
    ("ana", (ANA, "nonsense"), U),  # V41: the account level
    ("ana", (ANA, ROOT, "nonsense"), F),
    ("anon", ("nonsense",), T),
]


@pytest.mark.parametrize(("principal", "entries", "expected"), NOT_PRINCIPAL)
def test_deny_not_principal_exempts_fully_listed_principals(principal: str, entries: tuple, expected: Truth) -> None:
    assert match(principal, *entries, effect=Effect.DENY, inverted=True).result == expected  # N21, N23


@pytest.mark.parametrize("principal", ["ana", "run1", "kio"])
@pytest.mark.parametrize("entries", [("*",), (ANA, DEP, RUN1, KIO, ROOT)])
def test_deny_not_principal_exempts_no_bounded_principal(principal: str, entries: tuple) -> None:  # N22, E131, E132
    bounded = replace(PRINCIPALS[principal], bounded=True)
    assert match(bounded, *entries, effect=Effect.DENY, inverted=True).result is T


def test_gateway_endpoint_account_exempts_only_root() -> None:  # N17 with N21
    assert match("ana", ANA, ROOT, effect=Effect.DENY, inverted=True, gateway=True).result is T
    assert match("root", ROOT, effect=Effect.DENY, inverted=True, gateway=True).result is F


@pytest.mark.parametrize(
    ("principal", "entries", "expected"),
    [
        ("ana", (ANA,), F),  # E133
        ("ana", (ROOT,), F),
        ("run1", (ANA,), T),
        ("anon", (ANA,), T),
        ("anon", ("*",), F),
        ("kio?", (ANA,), U),
        ("dep", (RUN1,), U),
        ("ana", ("nonsense",), U),
        ("svc", (f"Service={S3_HK}",), F),
    ],
)
def test_allow_not_principal_matches_unlisted_principals(principal: str, entries: tuple, expected: Truth) -> None:
    found = match(principal, *entries, inverted=True)  # N24
    assert (found.result, found.classes) == (expected, "*" if expected is T else "")
