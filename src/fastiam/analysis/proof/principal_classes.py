"""Principals for proofs of policies that name principals: one of each class of match that some principal has (H60).

They are the named principals, and for each account that is named, and one that is not, one principal of each kind that no policy
names. INVARIANT: each principal matches the principal elements as one of them does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, combinations

from fastiam.analysis.proof.candidate_requests import ACCOUNT, NAME, OTHER_ACCOUNT, Probe, role_session
from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.analysis.proof.statement_formulas import BoundStatement
from fastiam.model.arn import Arn, is_account, split_arn
from fastiam.model.policy import Effect
from fastiam.model.profile import PrincipalKind
from fastiam.model.session import Session
from fastiam.spec.principal_entries import Form, ParsedPrincipal, read_entry

_MAX_SERVICES = 5  # of whose names each subset is tried
_MAX_PRINCIPALS = 4_000


def representatives(statements: Sequence[BoundStatement], partitions: Collection[str]) -> list[Probe]:
    """Return principals that match the principal elements of statements in each way that some principal does.

    Raises
    ------
    ProofLimitError
        there are too many.
    """
    written = [entry for one in statements for entry in one.statement.principals or ()]
    entries = list(dict.fromkeys(read_entry(entry.type, entry.value) for entry in written))
    name = _unused_name(entries)
    accounts = list(dict.fromkeys(one.account for one in entries if one.account and is_account(one.account)))
    accounts.append(next(one for one in chain((ACCOUNT, OTHER_ACCOUNT), _accounts()) if one not in accounts))
    found = [probe for partition in partitions for account in accounts for probe in _of_account(partition, account, name)]
    found += [probe for entry in entries for probe in _named(entry, entries, name, partitions)]
    found += [replace(probe, context={"aws:userid": user_id}) for probe in found for user_id in _ids_of(probe, entries)]
    ids = [entry.text for entry in entries if entry.form is Form.CANONICAL_USER]
    found += [replace(probe, canonical_id=canonical) for probe in found for canonical in ids]
    found += [*_services(statements, entries, name), Probe("*")]
    found += [Probe(entry.text) for entry in entries if entry.form is Form.PROVIDER]
    if any(one.statement.not_principal for one in statements):
        found += [replace(probe, is_bounded=True) for probe in found if _can_be_bounded(probe)]
    if len(found) > _MAX_PRINCIPALS:
        raise ProofLimitError(f"more than {_MAX_PRINCIPALS:,} principals")
    return list({repr(probe): probe for probe in found}.values())


def _unused_name(entries: Iterable[ParsedPrincipal]) -> str:
    texts = [entry.text for entry in entries]
    name = NAME
    while any(name in text for text in texts):
        name += "0"
    return name


def _accounts() -> Iterator[str]:
    return (f"{number:012}" for number in range(10**11, 10**12))


def _of_account(partition: str, account: str, name: str) -> Iterator[Probe]:
    """Yield one principal of each kind that no policy names."""
    root = f"arn:{partition}:iam::{account}:root"
    user = f"arn:{partition}:iam::{account}:user/{name}"
    yield Probe(user)
    yield Probe(role_session(Arn(partition, "iam", "", account, f"role/{name}")))
    yield Probe(root)
    for issuer in (user, root, None):
        yield Probe(_federated(partition, account, name, issuer))


def _federated(partition: str, account: str, name: str, issuer: str | None) -> Session:
    return Session(f"arn:{partition}:sts::{account}:federated-user/{name}", kind=PrincipalKind.FED, issuer=issuer)


def _named(entry: ParsedPrincipal, entries: Sequence[ParsedPrincipal], name: str, partitions: Collection[str]) -> Iterator[Probe]:
    """Yield the principals that an entry names, and those that relate to them."""
    arn = split_arn(entry.text)
    if arn is None or arn.partition not in partitions or not is_account(arn.account):
        return  # N16
    account = f"arn:{arn.partition}:iam::{arn.account}:"
    if entry.form is Form.USER:
        yield Probe(entry.text)
        yield Probe(_federated(arn.partition, arn.account, name, entry.text))
    elif entry.form in (Form.ROLE, Form.SESSION):
        role = Arn(arn.partition, "iam", "", arn.account, f"role/{entry.role}" if entry.form is Form.SESSION else arn.rest)
        yield Probe(role_session(role))
        yield Probe(str(role))  # N5
        if entry.form is Form.SESSION:
            yield Probe(Session(entry.text, kind=PrincipalKind.ROLE, issuer=str(role)))
    elif entry.form is Form.FEDERATED_USER:
        users = [one.text for one in entries if one.form is Form.USER and one.text.startswith(account)]
        for issuer in (*users, f"{account}user/{name}", f"{account}root", None):
            yield Probe(_federated(arn.partition, arn.account, arn.rest.partition("/")[2], issuer))


def _ids_of(probe: Probe, entries: Iterable[ParsedPrincipal]) -> Iterator[str]:
    """Yield values of `aws:userid` for the unique ids that entries name."""
    is_user, is_role = ":user/" in probe.name, ":assumed-role/" in probe.name or ":role/" in probe.name
    for entry in entries:
        if entry.form is Form.UNIQUE_ID and (is_role if entry.text.startswith("AROA") else is_user):
            yield f"{entry.text}:{NAME}" if is_role else entry.text


def _services(statements: Sequence[BoundStatement], entries: Iterable[ParsedPrincipal], name: str) -> Iterator[Probe]:
    """Yield services with their lists of names (N12). Denies read each name.

    A request that only needs one applicable Deny needs one name more than the primary one. Only `NotPrincipal` can need more.
    """
    named = [entry.text for entry in entries if entry.form is Form.SERVICE]
    most = len(named)
    if len(named) > _MAX_SERVICES:
        if any(one.statement.not_principal for one in statements):
            raise ProofLimitError("`NotPrincipal` and many services")
        most = 1
    denies = any(one.statement.effect is Effect.DENY for one in statements)
    for primary in (*named, f"{name}.amazonaws.com"):
        others = [text for text in named if text != primary]
        for count in range(most + 1 if denies else 1):
            for chosen in combinations(others, count):
                yield Probe(primary, {"aws:PrincipalServiceNamesList": [primary, *chosen]} if chosen else {})


def _can_be_bounded(probe: Probe) -> bool:
    """Whether the principal is a user, role or federated user (N22)."""
    return any(part in probe.name for part in (":user/", ":assumed-role/", ":federated-user/", ":role/"))
