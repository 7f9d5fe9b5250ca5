"""One caller from an empty store to a decision and revocation; each step is refused before it is permitted.

The README has a short version, and `test_project.py` runs that text.
"""

from __future__ import annotations

from pathlib import Path

import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import few_or_all
from sts_fixture import ALL, ANA, CHAIN, CHEAP, DEP, Clock, Phone, World, document, trusting

import fastiam
from fastiam import Outcome
from fastiam.resolve.sessions import read_session
from fastiam.sts import STS, AccessDeniedError, AuthenticationError, Keyring, StsError

IAM = "arn:aws:iam::111111111111:"
EVA, DEPLOY, BUILD = IAM + "user/eva", IAM + "role/Deploy", IAM + "role/Build"
ZETA, BETA = "arn:aws:s3:::builds/zeta/1", "arn:aws:s3:::builds/beta/1"


def test_from_an_empty_store_to_a_decision_and_its_end(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "iam.db"
    Keyring.generate().save(tmp_path / "keyring.json")

    # an account, a group with a managed policy, a user in it, two roles
    directory = fastiam.Directory.open(path)
    directory.add_managed_policy(
        IAM + "policy/Developer", document({"Effect": "Allow", "Action": ["sts:*", "s3:List*"], "Resource": "*"})
    )
    directory.add_group(IAM + "group/developers", [IAM + "policy/Developer"])
    directory.add_principal(EVA, groups=["developers"])
    guarded = {"StringEquals": {"sts:ExternalId": "x7"}, "Bool": {"aws:MultiFactorAuthPresent": "true"}}
    both = ["sts:AssumeRole", "sts:TagSession"]
    directory.add_principal(DEPLOY, trust_policy=trusting(EVA, actions=both, **guarded), identity_policies=[document(ALL)])
    own = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::builds/${aws:PrincipalTag/project}/*"}
    directory.add_principal(BUILD, trust_policy=trusting(DEPLOY, actions=both), identity_policies=[document(own)])

    # a key and a second factor
    sts = STS(directory, Keyring.load(tmp_path / "keyring.json"), clock=clock, hasher=CHEAP)
    key, made = sts.keys.create(EVA), sts.mfa.create(EVA, "phone")
    phone = Phone(made.serial, pyotp.TOTP(str(made.seed)), clock)
    sts.mfa.enable(made.serial, phone.code(), phone.code(1))
    directory.close()

    # another process, with what the first one left
    clock.tick(60)
    directory = fastiam.Directory.open(path)
    sts = STS(directory, Keyring.load(tmp_path / "keyring.json"), clock=clock, hasher=CHEAP)
    tags = {"tags": {"project": "zeta"}, "transitive_tag_keys": ["project"]}
    with pytest.raises(AccessDeniedError):  # neither external id nor MFA
        sts.assume_role(key, DEPLOY, "eva", **tags)
    with pytest.raises(AccessDeniedError):  # no MFA
        sts.assume_role(key, DEPLOY, "eva", external_id="x7", **tags)
    code = phone.code()
    with pytest.raises(AccessDeniedError):  # no external id; the code is used up all the same
        sts.assume_role(key, DEPLOY, "eva", mfa_serial=made.serial, mfa_code=code, **tags)
    clock.tick(30)
    first = sts.assume_role(key, DEPLOY, "eva", external_id="x7", mfa_serial=made.serial, mfa_code=phone.code(), **tags)

    # a chain: the tag travels, a session policy narrows
    narrow = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    second = sts.assume_role(first.credentials, BUILD, "eva", policy=narrow)
    session = sts.authenticate(second.credentials).principal
    assert session.tags == {"project": "zeta"}

    # attribute-based access, and the session policy
    def decide(action: str, resource: str) -> tuple[Outcome, str]:
        decision = sts.engine.decide(session, action, resource, now=clock())
        return decision.outcome, str(decision.layer)

    assert decide("s3:GetObject", ZETA) == (Outcome.ALLOW, "identity")
    assert decide("s3:GetObject", BETA) == (Outcome.IMPLICIT_DENY, "identity")
    assert decide("s3:PutObject", ZETA) == (Outcome.IMPLICIT_DENY, "session")
    columns = sts.engine.decide_many("eva", "s3:GetObject", [ZETA, BETA], sessions={"eva": session}, now=clock())
    assert columns.allowed.tolist() == [True, False]

    # the end: revoked, expired, and the key disabled
    sts.revoke_sessions(BUILD)
    assert decide("s3:GetObject", ZETA) == (Outcome.EXPLICIT_DENY, "identity")
    clock.tick(3600)
    with pytest.raises(AuthenticationError, match="expired"):
        sts.authenticate(second.credentials)
    sts.keys.set_status(key.access_key_id, "Inactive")
    with pytest.raises(AuthenticationError, match="inactive"):
        sts.authenticate(key)
    directory.close()


WORLD = World()
TEXT = st.text(max_size=20) | st.text("abz09_+=,.@-/:*?$ ", max_size=70)
TAGS = st.dictionaries(TEXT, TEXT, max_size=3)


@settings(max_examples=few_or_all(75, 150), deadline=None)
@given(
    role=st.sampled_from([DEP, CHAIN]) | TEXT,
    name=st.text("abz09_+=,.@-", min_size=2, max_size=64) | TEXT,
    tags=TAGS,
    source=st.none() | TEXT,
    external=st.none() | TEXT,
    policy=st.none() | TEXT,
    name_of_federated=TEXT,
)
def test_session_from_arbitrary_arguments_is_well_formed(role, name, tags, source, external, policy, name_of_federated):
    """No argument adds separators to an ARN; the calls raise only errors of STS and of policies."""
    arguments = {
        "tags": tags,
        "transitive_tag_keys": list(tags)[:1],
        "source_identity": source,
        "external_id": external,
        "policy": policy,
    }
    calls = [
        lambda: WORLD.sts.assume_role(ANA, role, name, **arguments),
        lambda: WORLD.sts.get_federation_token(ANA, name_of_federated, tags=tags, policy=policy),
    ]
    for call in calls:
        try:
            made = call()
        except (StsError, fastiam.PolicyError):
            continue
        parts = read_session(made.session)
        assert parts.ref.account == "111111111111" and made.arn.count("/") <= 2 and made.arn.count(":") == 5
        assert WORLD.sts.authenticate(made.credentials).principal == made.session
        assert WORLD.sts.engine.decide(made.session, "s3:GetObject", ZETA) is not None
