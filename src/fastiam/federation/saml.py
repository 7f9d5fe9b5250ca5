"""AssumeRoleWithSAML: from the base64 text that a client sends to a session (chapter 2, in the order of 2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from fastiam.credentials.results import Assertion, AssumedRole
from fastiam.credentials.sts_errors import AccessDeniedError, ValidationError
from fastiam.directory.account_records import SamlProvider
from fastiam.federation.audit import Entry, digest_of
from fastiam.federation.federation_errors import IdentityTokenError
from fastiam.federation.replay_protection import Replays, Use
from fastiam.federation.saml_assertion import REDEEM, Facts, name_qualifier, read_facts
from fastiam.federation.saml_attributes import (
    read_all_attributes,
    read_attributes,
    read_aws_attributes,
    read_keys,
    read_pairs,
)
from fastiam.federation.saml_metadata import SamlMetadata
from fastiam.federation.saml_providers import SamlProviders
from fastiam.federation.saml_response import MAX_CHARACTERS, ResponseKeys, Verified, verify_response
from fastiam.federation.state import FederationState
from fastiam.federation.xml_reading import XmlError
from fastiam.model.arn import split_arn
from fastiam.model.request import shorten
from fastiam.sts import federated_roles as asserted
from fastiam.sts import parameter_limits as limits
from fastiam.sts.authorization import CallKeys
from fastiam.sts.roles import NO_ROLE, check_role
from fastiam.sts.session_issuer import PolicyText

CALL, CONSOLE = "AssumeRoleWithSAML", "ConsoleLogin"
_MIN_ARN, _MAX_ARN = 20, 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlAssertion(Assertion):
    """A verified SAML assertion.

    Attributes
    ----------
    id
        its `ID`. `issued` is its instant of issue, `entity_id` its issuer.
    pairs
        (role, provider) of its `Role` attribute.
    duration
        `SessionDuration` in seconds; it shortens a session and never lengthens one (SA71).
    one_time
        it yields one session in all.
    """

    id: str
    issued: datetime
    entity_id: str
    pairs: frozenset[tuple[str, str]]
    duration: int | None = None
    one_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlRole(AssumedRole):
    """The answer of AssumeRoleWithSAML (SA81). `audience` is the recipient of the assertion."""

    subject: str
    subject_type: str
    issuer: str
    audience: str
    name_qualifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlLogin:
    """Who signed in at a SAML provider.

    Attributes
    ----------
    provider_id
        unique id of the provider; one that is created again has another one.
    subject, subject_format
        the NameID.
    attributes
        all attributes by name; one with several values is a list.
    """

    provider_id: str
    subject: str
    subject_format: str
    attributes: Mapping[str, str | list[str]] = field(repr=False)


class SamlCalls:
    """Verification of SAML responses, and the sessions that follow from them."""

    def __init__(self, state: FederationState, providers: SamlProviders, replays: Replays) -> None:
        self._state, self._providers, self._replays = state, providers, replays

    # -- verification (steps 1 to 12) -----------------------------------------------------------------------------------------

    def verify(self, role: str, provider: str, response: str | bytes, now: datetime, entry: Entry) -> SamlAssertion:
        """The assertion in a response, for one of its pairs of role and provider.

        Raises
        ------
        ValidationError, IdentityTokenError, ExpiredTokenError, RejectedClaimError, AccessDeniedError
            see 2.1.
        """
        _check_parameters(role, provider, response)
        self._state.directory.refresh()
        asserted.require_provider(self._state.issuer, asserted.SAML, provider, role)
        record = self._state.tables.saml_providers[provider]
        keys = self._providers.private_keys(record) if record.encryption else ()
        verified, facts = self._read(record, response, keys, now, entry)
        qualifier = name_qualifier(facts.issuer, record)
        attributes = read_attributes(verified.assertion, entry)
        pairs = read_pairs(attributes, entry)
        if not facts.subject or (role, provider) not in pairs:
            why = "the assertion does not list this role and provider" if facts.subject else "the assertion has no `NameID`"
            raise _denied(why, provider, role, "SA50" if facts.subject else "SA38")
        own = read_aws_attributes(attributes)
        entry.add(session_name=own.session_name, source_identity=own.source_identity)
        return SamlAssertion(
            provider=provider,
            keys=read_keys(attributes) | _keys_of(facts, record, qualifier),
            session_name=own.session_name,
            tags=dict(own.tags),
            transitive_tag_keys=own.transitive_tag_keys,
            source_identity=own.source_identity,
            not_after=facts.session_ends,
            id=facts.id,
            issued=facts.issued,
            entity_id=facts.issuer,
            pairs=pairs,
            duration=own.duration,
            one_time=facts.one_time,
        )

    def verify_login(self, provider: str, account: str, response: str | bytes, now: datetime, entry: Entry) -> SamlLogin:
        """Who signed in, for a login to an identity pool of an account: no role is looked for, and nothing is spent (5.2).

        Raises
        ------
        ValidationError, IdentityTokenError, ExpiredTokenError, RejectedClaimError
            see steps 1 to 10 of 2.1.
        """
        if not isinstance(response, (str, bytes)) or not 4 <= len(response) <= MAX_CHARACTERS:
            raise ValidationError(f"a SAML response is base64 of 4 to {MAX_CHARACTERS:,} characters", rule="2.1")
        record = self._state.tables.saml_providers.get(provider)
        if record is None or record.account != account:
            message = f"identity provider not found in account `{account}`: `{provider}`"
            raise IdentityTokenError(message, reason="unknown_provider", rule="IP41")
        if record.encryption == "Required":
            raise IdentityTokenError("encrypted assertions are not accepted as logins", reason="form", rule="5.2")
        verified, facts = self._read(replace(record, encryption=""), response, (), now, entry)
        if not facts.subject:
            raise IdentityTokenError("the assertion has no `NameID`", reason="subject", rule="SA38")
        return SamlLogin(
            provider_id=record.unique_id or record.arn,
            subject=facts.subject,
            subject_format=facts.subject_format,
            attributes=read_all_attributes(verified.assertion),
        )

    def _read(
        self, record: SamlProvider, response: str | bytes, private: Sequence[RSAPrivateKey], now: datetime, entry: Entry
    ) -> tuple[Verified, Facts]:
        """Steps 4 to 10: the verified response of a provider. `private` keys decrypt it."""
        metadata = self._metadata(record, now)
        keys = ResponseKeys(
            signing=metadata.keys,
            private=private,
            encryption=record.encryption,
            ignore_dates=self._state.settings.saml_ignore_certificate_dates,
        )
        verified = verify_response(response, keys, now)
        facts = read_facts(verified, metadata.entity_id, record, self._state.settings, now)
        entry.add(
            issuer=facts.issuer,
            assertion_id=facts.id,
            subject=facts.subject,
            subject_format=facts.subject_format,
            user_name=facts.subject,
            type="SAMLUser",
            principal_id=f"{name_qualifier(facts.issuer, record)}:{facts.subject}",
        )
        return verified, facts

    def _metadata(self, record: SamlProvider, now: datetime) -> SamlMetadata:
        try:
            metadata = self._providers.metadata_of(record)
        except XmlError as error:
            message = f"the provider is incomplete: {error}"
            raise IdentityTokenError(message, reason="unknown_provider", rule="IP45") from None
        if not metadata.is_valid(now):
            raise IdentityTokenError("the provider's metadata have expired", reason="unknown_provider", rule="IP13")
        return metadata

    # -- the call ---------------------------------------------------------------------------------------------------------------

    def assume(
        self,
        role: str,
        provider: str,
        response: str | bytes,
        *,
        duration: int | None,
        policy: PolicyText | None,
        policy_arns: Sequence[str],
        source: str,
        keys: CallKeys,
        console: bool = False,
    ) -> SamlRole:
        """AssumeRoleWithSAML, or a sign-in to the console (CF20). One event is written, whatever the outcome.

        A sign-in lasts as long as `SessionDuration` says, whatever the maximum of the role, and spends the assertion.
        """
        now, state = self._state.now(), self._state
        arn = split_arn(role) if isinstance(role, str) else None
        details = {
            "role": shorten(str(role), _MAX_ARN),
            "provider": shorten(str(provider), _MAX_ARN),
            "assertion": digest_of(response),
        }
        with state.auditor.call(
            CONSOLE if console else CALL, now, account="" if arn is None else arn.account, source=source, **details
        ) as entry:
            limits.read_duration(duration, limits.ROLE)
            assertion = self.verify(role, provider, response, now, entry)
            if console:
                duration = assertion.duration
            use = self._use(assertion, role, console)
            is_checked = use.once or state.settings.replay != "off"
            transaction: AbstractContextManager[None] = state.directory.transaction() if is_checked else nullcontext()
            with transaction:
                if is_checked:
                    self._replays.check(use)
                made = self._issue(assertion, role, duration, policy, policy_arns, now, entry, keys, console)
                if is_checked:
                    self._replays.write(use, now)
            return made

    def _use(self, assertion: SamlAssertion, role: str, console: bool) -> Use:
        settings, record = self._state.settings, self._state.tables.saml_providers.get(assertion.provider)
        return Use(
            provider=(record and record.unique_id) or assertion.provider,  # one that is deleted by now is refused in step 15
            entity_id=assertion.entity_id,
            account=assertion.provider.split(":")[4],
            assertion=assertion.id,
            role=role,
            until=assertion.issued + timedelta(seconds=REDEEM + settings.skew),
            once=console or assertion.one_time or settings.replay == "strict",
        )

    def _issue(
        self,
        assertion: SamlAssertion,
        role: str,
        duration: int | None,
        policy: PolicyText | None,
        policy_arns: Sequence[str],
        now: datetime,
        entry: Entry,
        keys: CallKeys,
        console: bool,
    ) -> SamlRole:
        """Steps 14 to 16. A missing role is refused like one that does not trust the provider (SA1)."""
        shortest = None if assertion.duration is None else now + timedelta(seconds=assertion.duration)
        ends = [end for end in (assertion.not_after, shortest) if end is not None]
        limited = replace(assertion, not_after=min(ends, default=None))
        wanted = asserted.request_of(limited, role, duration, policy, policy_arns)
        try:
            made = asserted.with_provider(
                self._state.issuer, asserted.SAML, limited, wanted, now=now, limited=not console, keys=keys
            )
        except AccessDeniedError as error:
            entry.add(denied=error.message)
            raise _denied("not authorized", assertion.provider, role, "SA1", error) from None
        except ValidationError as error:
            if error.rule != NO_ROLE:
                raise
            entry.add(denied=error.message)
            raise _denied("not authorized", assertion.provider, role, "SA1") from None
        texts = {name: str(assertion.keys[f"saml:{name}"]) for name in ("sub", "sub_type", "iss", "aud", "namequalifier")}
        return SamlRole(
            credentials=made.credentials,
            session=made.session,
            arn=made.arn,
            role_id=made.role_id,
            source_identity=made.source_identity,
            packed_policy_size=made.packed_policy_size,
            subject=texts["sub"],
            subject_type=texts["sub_type"],
            issuer=texts["iss"],
            audience=texts["aud"],
            name_qualifier=texts["namequalifier"],
        )


def _check_parameters(role: str, provider: str, response: str | bytes) -> None:
    """Steps 1 and 2, as far as they need no provider."""
    for name, arn in (("role", role), ("provider", provider)):
        if not isinstance(arn, str) or not _MIN_ARN <= len(arn) <= _MAX_ARN:
            raise ValidationError(f"the ARN of the {name} is text of 20 to 2,048 characters", rule="2.1")
    if not isinstance(response, (str, bytes)) or not 4 <= len(response) <= MAX_CHARACTERS:
        raise ValidationError(f"a SAML response is base64 of 4 to {MAX_CHARACTERS:,} characters", rule="2.1")
    check_role(role)
    if role.rpartition("/")[2].startswith(asserted.RESERVED):
        raise ValidationError("roles of IAM Identity Center are not given out by SAML calls", rule="7.1")


def _keys_of(facts: Facts, provider: SamlProvider, qualifier: str) -> dict[str, str | list[str]]:
    """The keys that are always set (SA53)."""
    return {
        "saml:aud": facts.recipient,
        "saml:iss": facts.issuer,
        "saml:sub": facts.subject,
        "saml:sub_type": facts.subject_type,
        "saml:doc": f"{provider.account}/{provider.name}",
        "saml:namequalifier": qualifier,
    }


def _denied(why: str, provider: str, role: str, rule: str, error: AccessDeniedError | None = None) -> AccessDeniedError:
    return AccessDeniedError(
        f"`{provider}` may not `{asserted.SAML}` on `{role}`: {why}",
        principal=provider,
        action=asserted.SAML if error is None else error.action,
        resource=role,
        layer="credential" if error is None else error.layer,
        decision=None if error is None else error.decision,
        rule=rule,
    )
