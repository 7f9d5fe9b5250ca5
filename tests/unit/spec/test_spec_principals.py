"""Principal entries of the reference: the matrix of 3.3, `NotPrincipal`, and the rules beside them (spec section 3)."""

from dataclasses import replace

import pytest

from fastiam.model.policy import Effect, Policy, PolicyKind, PrincipalEntry, Statement
from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.spec import principal_elements as who
from fastiam.spec.principals import make_asker
from fastiam.spec.statement_trace import View
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
ASKERS = {
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
    asker: str | PrincipalProfile,
    *entries: str,
    effect: Effect = Effect.ALLOW,
    inverted: bool = False,
    kind: PolicyKind = PolicyKind.RESOURCE,
    gateway: bool = False,
    partition: str | None = "aws",
    given: dict[str, ContextValue] | None = None,
    unknown: frozenset[str] = frozenset(),
    favour: bool = True,
) -> who.PrincipalMatch:
    profile = ASKERS[asker] if isinstance(asker, str) else asker
    statement = Statement(0, None, effect, ("*",), principals=principals(*entries), not_principal=inverted)
    view = View({}, unknown, favour)
    return who.check_principals(
        statement, Policy(kind, True, (statement,)), make_asker(profile, partition, given or {}), gateway, view
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
def test_the_matrix_of_principals(entry: str) -> None:  # 3.3
    found = [match(asker, entry, kind=PolicyKind.TRUST) for asker in ORDER]
    expected = MATRIX[entry]
    assert "".join("u" if each.result is U else each.classes or "-" for each in found) == expected
    for each, letter in zip(found, expected, strict=True):
        assert each.result is {"-": F, "u": U}.get(letter, T)
        assert bool(each.possible) is (letter != "-")


def test_several_entries_are_an_or_and_keep_all_their_classes() -> None:  # 3.2, D51
    assert match("run1", DEP, A, RUN1).classes == "DRA"
    assert match("run1", "nonsense", B) == who.PrincipalMatch(U, "", "D")
    assert match("run1", "nonsense", DEP) == who.PrincipalMatch(T, "R", "DR")


def test_a_provider_is_named_in_trust_policies_alone() -> None:  # V35, E134
    assert match("saml", f"Federated={IDP}").result is F


def test_a_federated_user_of_unknown_issuer_may_be_of_any_user_of_its_account() -> None:  # N4, E139
    assert match("kio?", ANA) == who.PrincipalMatch(U, "", "P")
    assert match("kio?", "AIDAOTHER") == who.PrincipalMatch(U, "", "P")
    assert match("kio?", f"arn:aws:iam::{B}:user/ana").result is F
    assert match("kio root", ANA).result is F


def test_a_role_as_request_principal_is_some_session_of_it() -> None:  # N5, E140
    assert match("dep", RUN1) == who.PrincipalMatch(U, "", "D")
    assert match("dep", f"arn:aws:sts::{A}:assumed-role/Other/run1").result is F
    assert match("dep", DEP).classes == "R"


def test_allow_asks_for_the_primary_name_and_deny_for_any() -> None:  # N12, E123
    assert match("svc", f"Service={S3_HK}").result is F
    assert match("svc", f"Service={S3_HK}", effect=Effect.DENY).result is T
    given = {"aws:principalservicenameslist": ContextValue(("x.amazonaws.com",), multi=True)}  # K1
    assert match("svc", "Service=x.amazonaws.com", effect=Effect.DENY, given=given).result is T
    assert match("svc", f"Service={S3}", effect=Effect.DENY, given=given).result is T
    assert match("svc", f"Service={S3_HK}", effect=Effect.DENY, given=given).result is F


def test_a_given_user_id_decides_unique_ids() -> None:  # K1, N30
    nobody = replace(ASKERS["run1"], unique_id=None)
    assert match(nobody, "AROADEP").result is F
    assert match(nobody, "AROADEP", given={"aws:userid": ContextValue(("AROADEP:run1",))}).classes == "R"
    assert match("ana", "AIDAANA", given={"aws:userid": ContextValue(("AIDANEW",))}).result is F
    several = {"aws:userid": ContextValue(("AIDAANA", "AIDANEW"), multi=True)}
    assert match("ana", "AIDAANA", given=several).result is U


def test_an_unknown_user_id_leaves_unique_ids_open() -> None:  # D72
    unknown = frozenset({"aws:userid", "aws:principalservicenameslist"})
    for entry, asker, effect in (
        ("AIDAX", "ana", Effect.ALLOW),
        ("AROAX", "run1", Effect.ALLOW),
        ("Service=x", "svc", Effect.DENY),
    ):
        assert [match(asker, entry, effect=effect, unknown=unknown, favour=favour).result for favour in (True, False)] == [T, F]
    assert match("ana", "AROAX", unknown=unknown).result is F
    assert match("svc", "Service=x", unknown=unknown).result is F  # Allow reads the primary name alone
    listed = [
        match("ana", "AIDAX", A, effect=Effect.DENY, inverted=True, unknown=unknown, favour=f).result for f in (True, False)
    ]
    assert listed == [T, F]  # inside `NotPrincipal` an open test that holds exempts


def test_a_bare_account_id_has_the_partition_of_the_resource() -> None:  # N16, E135
    assert match("ana", A, partition="aws-cn").result is F
    assert match("ana", ROOT, partition="aws-cn").classes == "A"
    assert match("ana", A, partition=None).classes == "A"


def test_in_a_gateway_endpoint_policy_an_account_is_its_root() -> None:  # N17, E137
    for form in (A, ROOT, "CanonicalUser=c0ffee"):
        assert match("root", form, gateway=True).classes == "D"
        assert match("ana", form, gateway=True).result is F
        assert match("run1", form, gateway=True).result is F
    assert match("ana", "*", gateway=True).classes == "*"


NOT_PRINCIPAL = [  # asker, entries, result of a Deny: `F` is exempt
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


@pytest.mark.parametrize(("asker", "entries", "expected"), NOT_PRINCIPAL)
def test_deny_with_not_principal_spares_whom_it_lists_on_every_level(asker: str, entries: tuple, expected: Truth) -> None:
    assert match(asker, *entries, effect=Effect.DENY, inverted=True).result is expected  # N21, N23


@pytest.mark.parametrize("asker", ["ana", "run1", "kio"])
@pytest.mark.parametrize("entries", [("*",), (ANA, DEP, RUN1, KIO, ROOT)])
def test_who_has_a_boundary_is_never_spared(asker: str, entries: tuple) -> None:  # N22, E131, E132
    bounded = replace(ASKERS[asker], bounded=True)
    assert match(bounded, *entries, effect=Effect.DENY, inverted=True).result is T


def test_a_gateway_endpoint_spares_nobody_by_account_but_root() -> None:  # N17 with N21
    assert match("ana", ANA, ROOT, effect=Effect.DENY, inverted=True, gateway=True).result is T
    assert match("root", ROOT, effect=Effect.DENY, inverted=True, gateway=True).result is F


@pytest.mark.parametrize(
    ("asker", "entries", "expected"),
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
def test_allow_with_not_principal_grants_whom_it_lists_on_no_level(asker: str, entries: tuple, expected: Truth) -> None:
    found = match(asker, *entries, inverted=True)  # N24
    assert (found.result, found.classes) == (expected, "*" if expected is T else "")
