"""Identities from outside: how many are verified a second, and decisions a second over a column of their sessions.

10,000 sessions, by SAML and by web identity in equal parts, ask a million different requests. A sample of the answers is first
compared with the specification, and all of them with those of plain sessions of the same roles, which are timed beside them.
A verification is the whole call, from bytes to credentials, with another token each time. `library` is the time of the library
alone for the signatures of one call.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import jwt
import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from engines import WrongAnswerError, check
from measure import REPEATS, Record, Timing, clock, measure, measure_together
from signxml import XMLVerifier
from workloads import NOW, Columns, Workload, identity

from fastiam import Session
from fastiam.cognito.user_pools import srp as srp_numbers
from fastiam.sts import STS, Assertion, Keyring

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "tools"))
import cognito_world
import oidc_world
import saml_world
import x509_world

N = 10_000  # sessions
TOKENS = 100  # of one kind in a repeat
ISSUER = "idp.example"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]}


def prepared(work: Workload) -> STS:
    """STS over the directory of a workload, whose roles trust a provider of each kind and a user of their account."""
    directory = work.directory
    with directory.transaction():
        for account in sorted({role.split(":")[4] for role in work.policies_of}):
            directory.create_saml_provider(saml_of(account), metadata="")
            directory.create_oidc_provider(oidc_of(account), client_ids=["app"])
            directory.add_principal(f"arn:aws:iam::{account}:user/bench", identity_policies=[ALL])
        for role in work.policies_of:
            account = role.split(":")[4]
            who = {"Federated": [saml_of(account), oidc_of(account)], "AWS": f"arn:aws:iam::{account}:user/bench"}
            statement = {"Effect": "Allow", "Principal": who, "Action": "sts:*"}
            directory.set_trust_policy(role, {"Version": "2012-10-17", "Statement": [statement]})
    return STS(directory, Keyring.generate())


def saml_of(account: str) -> str:
    return f"arn:aws:iam::{account}:saml-provider/idp"


def oidc_of(account: str) -> str:
    return f"arn:aws:iam::{account}:oidc-provider/{ISSUER}"


def sessions(work: Workload, sts: STS) -> tuple[dict[str, Session], dict[str, Session]]:
    """Federated and plain sessions, in turn of all roles, under one name in the column."""
    federated, plain, roles = {}, {}, sorted(work.policies_of)
    for i in range(N):
        role = roles[i % len(roles)]
        account, name = role.split(":")[4], f"s{i}"
        if i // len(roles) % 2:
            keys: dict[str, Any] = {"saml:aud": saml_world.RECIPIENT, "saml:sub": name, "saml:iss": saml_world.ENTITY}
            made = sts.assume_role_with_saml(Assertion(provider=saml_of(account), keys=keys, session_name=name), role)
        else:
            keys = {f"{ISSUER}:aud": "app", f"{ISSUER}:sub": name}
            made = sts.assume_role_with_web_identity(Assertion(provider=oidc_of(account), keys=keys, session_name=name), role)
        user = f"arn:aws:iam::{account}:user/bench"
        federated[name] = sts.authenticate(made.credentials).principal
        plain[name] = sts.authenticate(sts.assume_role(user, role, name).credentials).principal
    return federated, plain


def column(record: Record, work: Workload, sts: STS) -> None:
    """Decisions over a column of federated sessions, beside those over plain sessions."""
    federated, plain = sessions(work, sts)
    engine, asked = sts.engine, work.columns("coded")
    place = {role: i for i, role in enumerate(sorted(work.policies_of))}
    turns = np.random.default_rng(7).integers(0, N // len(place), len(asked))
    codes = np.array([place[role] for role in asked.principals.to_pylist()]) + turns * len(place)
    names = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(list(federated)))
    columns = Columns(names, asked.actions, asked.resources, asked.context, federated)
    row = (names, asked.actions, asked.resources, asked.context)

    now = datetime.fromisoformat(NOW)
    answers = engine.decide_many(*row, sessions=federated, now=now).outcome
    check(work, columns, answers)
    if not np.array_equal(answers, engine.decide_many(*row, sessions=plain, now=now).outcome):
        raise WrongAnswerError("federated sessions do not decide as plain ones: no time for them")
    jobs = {
        f"column of {N:,} {kind} sessions": lambda used=used: engine.decide_many(*row, sessions=used, now=now)
        for kind, used in (("federated", federated), ("plain", plain))
    }
    found = measure_together(jobs, len(asked))
    for form, timing in found.items():
        record.add(work.name, "fastiam", form, timing)
    beside, other = found.values()
    record.ratio("a column of federated sessions to one of plain sessions", beside.median / other.median, 1.2)


def verified(
    record: Record, kind: str, call: Callable[[Any], bool], tokens: Iterator[Any], library: Callable[[], Any] | None = None
) -> None:
    """The time of calls with a token each, each of which checks its result."""
    samples = []
    for _ in range(REPEATS):
        given = list(islice(tokens, TOKENS))
        found, taken = clock(lambda given=given: list(map(call, given)))
        if not all(found):
            raise WrongAnswerError(f"{kind}: a good token gives another session: no time for it")
        samples.append(taken / TOKENS)
    record.add("verified", "fastiam", kind, Timing.of(samples))
    if library is not None:
        record.add("verified", "library", kind, measure(lambda: [library() for _ in range(TOKENS)], TOKENS))


def saml(record: Record) -> None:
    """Signed assertions of 2,048-bit RSA."""
    world, certificate = saml_world.SamlWorld(), saml_world.rsa_key().certificate
    responses = (saml_world.good(id=f"_a{i}") for i in count())
    signed = base64.b64decode(next(responses))
    verified(
        record,
        "SAML response",
        lambda response: world.assume(response).session.issuer == saml_world.DEV,
        responses,
        lambda: XMLVerifier().verify(signed, x509_cert=certificate),
    )


def oidc(record: Record) -> None:
    """Tokens whose key set was read before."""
    world = oidc_world.OidcWorld()
    tokens = (world.token(jti=str(i), sub=f"u{i}") for i in count())
    one, key = next(tokens), oidc_world.private_key("RSA").public_key()
    world.assume(one)
    unchecked = {"verify_aud": False, "verify_exp": False, "verify_iat": False}
    verified(
        record,
        "RS256 token, warm JWKS",
        lambda token: world.assume(token).session.issuer == oidc_world.WEB,
        tokens,
        lambda: jwt.decode(one, key, algorithms=["RS256"], options=unchecked),
    )


def srp(record: Record) -> None:
    """The two calls of a sign-in to a user pool; the work of the client is not counted."""
    world = cognito_world.World()
    given = {"USERNAME": "ana", "SRP_A": f"{pow(srp_numbers.G, 7**90, srp_numbers.N):x}"}
    first = partial(world.pools.initiate_auth, client_id=cognito_world.C, auth_flow="USER_SRP_AUTH", auth_parameters=given)
    verified(record, "SRP, the challenge", lambda _: first()["ChallengeName"] == "PASSWORD_VERIFIER", count())

    def proofs() -> Iterator[Any]:
        for _ in count():
            challenge, secret = world.srp_start()
            yield challenge, world.srp_proof(challenge, secret), challenge["ChallengeParameters"]["USER_ID_FOR_SRP"]

    verified(record, "SRP, proof to tokens", lambda proof: "AuthenticationResult" in world.answer(*proof), proofs())


def certificates(record: Record) -> None:
    """Chains of three certificates with P-256, and the signature of the request."""
    root = x509_world.issue("Root", ca=True)
    middle = x509_world.issue("Middle", root, ca=True)
    host, world = x509_world.issue("host1", middle), x509_world.World(root=root)
    requests = (x509_world.chained(world, host, middle) for _ in count())
    algorithm, text = ec.ECDSA(SHA256()), b"x" * 500
    signature, public = host.key.sign(text, algorithm), host.key.public_key()

    def library() -> None:  # the host by the middle, the middle by the root, the request by the host
        for _ in range(3):
            public.verify(signature, text, algorithm)

    def create(request: Any) -> bool:
        return world.anywhere.create_session(request).session.issuer == x509_world.HOST

    verified(record, "X.509, a chain of three", create, requests, library)


def main() -> None:
    """Runs the bench and writes its record."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    record = Record("federation")
    for kind in (saml, oidc, srp, certificates):
        kind(record)
    work = identity(2_000)
    column(record, work, prepared(work))
    record.write()


if __name__ == "__main__":
    main()
