"""A verified SAML assertion: issuer, times, audience, recipient and subject (steps 8 to 10 of 2.1)."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, NoReturn, Protocol

from fastiam.directory.account_records import SamlProvider
from fastiam.federation.federation_errors import ExpiredTokenError
from fastiam.federation.saml_response import Verified, invalid
from fastiam.federation.saml_times import read_time
from fastiam.federation.settings import FederationSettings
from fastiam.federation.xml_reading import SAML, Element, XmlError, children, only_child, text_of

REDEEM = 300  # seconds after its issue in which an assertion is redeemed (SA31)
_ENTITY = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
_UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
_FORMATS = "urn:oasis:names:tc:SAML:2.0:nameid-format:"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_MAX_NAME_ID = 2_048
_CONDITIONS = frozenset(f"{{{SAML}}}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction"))


class _SignIn(NamedTuple):
    """Audience and sign-in host of a partition (SA32, SA33)."""

    audience: str
    host: str


_SIGN_IN = {
    "aws": _SignIn("urn:amazon:webservices", "signin.aws.amazon.com"),
    "aws-us-gov": _SignIn("urn:amazon:webservices:govcloud", "signin.amazonaws-us-gov.com"),
    "aws-cn": _SignIn("urn:amazon:webservices:cn-north-1", "signin.amazonaws.cn"),
}
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The content of an assertion after steps 8 to 10.

    Attributes
    ----------
    id
        of the assertion. `issued` is its instant of issue.
    subject
        text of the NameID, "" if there is none (step 11 refuses that). `subject_format` is its format as given.
    recipient
        the accepted recipient.
    session_ends
        the earliest `SessionNotOnOrAfter`.
    one_time
        the assertion has the condition `OneTimeUse`.
    answers
        the requests that response and confirmation name in `InResponseTo`. AssumeRoleWithSAML ignores them (SA35).
    """

    id: str
    issued: datetime
    issuer: str
    subject: str
    subject_format: str
    recipient: str
    session_ends: datetime | None
    one_time: bool
    answers: frozenset[str] = frozenset()

    @property
    def subject_type(self) -> str:
        """The format as AWS reports it: without the SAML 2.0 prefix (SA53)."""
        return self.subject_format.removeprefix(_FORMATS)


def name_qualifier(issuer: str, provider: SamlProvider) -> str:
    """A hash that identifies provider and issuer, as `saml:namequalifier` (SA54). An identifier, not a protection."""
    text = f"{issuer}{provider.account}/{provider.name}"
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()


class Target(Protocol):
    """The service for which an assertion is meant: its audiences and its addresses."""

    def is_audience(self, text: str) -> bool:
        """Whether an audience is accepted (SA32)."""

    def is_recipient(self, text: str) -> bool:
        """Whether a recipient or destination is accepted (SA33, SA34)."""


class AwsSignIn:
    """The sign-in addresses of AWS in the partition of a provider, and what the settings add."""

    def __init__(self, provider: SamlProvider, settings: FederationSettings) -> None:
        self._provider, self._settings = provider, settings
        self._sign_in = _SIGN_IN.get(provider.arn.split(":")[1])

    def is_audience(self, text: str) -> bool:
        """SA32."""
        if text in self._settings.saml_audiences or self._is_acs(text):
            return True
        return self._sign_in is not None and (text == self._sign_in.audience or self._is_endpoint(text, "/saml"))

    def is_recipient(self, text: str) -> bool:
        """SA33. Under the mode `Required` only an address with the UUID of the provider is accepted."""
        is_configured = text in self._settings.saml_recipients
        if self._provider.encryption == "Required":
            return self._is_acs(text) or (is_configured and text.endswith(f"/saml/acs/{self._provider.uuid}"))
        is_static = self._sign_in is not None and text == f"https://{self._sign_in.host}/static/saml"
        return is_configured or is_static or self._is_acs(text) or self._is_endpoint(text, "/saml")

    def _is_endpoint(self, text: str, path: str) -> bool:
        """A sign-in address of the partition, of a region or global."""
        if self._sign_in is None or not text.startswith("https://") or not text.endswith(f"{self._sign_in.host}{path}"):
            return False
        region = text[len("https://") : -len(self._sign_in.host + path)]
        return not region or _REGION.fullmatch(region) is not None

    def _is_acs(self, text: str) -> bool:
        return bool(self._provider.uuid) and self._is_endpoint(text, f"/saml/acs/{self._provider.uuid}")


def read_facts(verified: Verified, entity_id: str, provider: SamlProvider, settings: FederationSettings, now: datetime) -> Facts:
    """Check issuer, times, audience and recipient of a verified response for a SAML provider of an account.

    Raises
    ------
    IdentityTokenError, ExpiredTokenError
        of the first check that fails.
    """
    return read_facts_for(verified, entity_id, AwsSignIn(provider, settings), settings.skew, now)


def read_facts_for(verified: Verified, entity_id: str, target: Target, skew: int, now: datetime) -> Facts:
    """Check issuer, times, audience and recipient of a verified response. `skew` is in seconds.

    Raises
    ------
    IdentityTokenError, ExpiredTokenError
        of the first check that fails.
    """
    try:
        return _Reader(verified, entity_id, target, skew, now).facts()
    except XmlError as error:
        raise invalid(str(error), "2.5") from None


class _Reader:
    """The checks of one assertion, in the order of the steps."""

    def __init__(self, verified: Verified, entity_id: str, target: Target, skew: int, now: datetime) -> None:
        self._assertion, self._response = verified.assertion, verified.response
        self._entity_id, self._target, self._now = entity_id, target, now
        self._skew = timedelta(seconds=skew)

    def facts(self) -> Facts:
        """Run all checks."""
        issuer = self._issuer()
        issued = self._times()
        self._audience()
        recipient = self._recipient()
        subject, format_ = self._subject()
        return Facts(
            id=self._assertion.get("ID"),
            issued=issued,
            issuer=issuer,
            subject=subject,
            subject_format=format_,
            recipient=recipient,
            session_ends=min(self._instants("AuthnStatement", "SessionNotOnOrAfter"), default=None),
            one_time=self._conditions().find(f"{{{SAML}}}OneTimeUse") is not None,
            answers=self._answers(),
        )

    def _issuer(self) -> str:
        """SA30."""
        own = only_child(self._assertion, SAML, "Issuer")
        for issuer in (own, *children(self._response, SAML, "Issuer")):
            if text_of(issuer).strip(" \t\r\n") != self._entity_id:
                raise invalid("the issuer is not the provider's entity", "SA30", "issuer")
            if issuer.get("Format", _ENTITY) != _ENTITY:
                raise invalid("the format of the issuer is not `entity`", "SA30", "issuer")
        return self._entity_id

    # -- times (SA31) ---------------------------------------------------------------------------------------------------

    def _times(self) -> datetime:
        for element in (self._assertion, self._response):
            self._check_issue(read_time(element.get("IssueInstant", "")))
        conditions = self._conditions()
        if "NotBefore" in conditions.attrib:
            self._not_early(read_time(conditions.get("NotBefore")))
        if "NotOnOrAfter" in conditions.attrib:
            self._not_late(read_time(conditions.get("NotOnOrAfter")), "response has expired")
        for data in self._confirmation_data():
            if "NotBefore" in data.attrib:
                raise invalid("`SubjectConfirmationData` has `NotBefore`", "SA31", "time")
            self._not_late(read_time(data.get("NotOnOrAfter", "")), "the subject confirmation has expired")
        for instant in self._instants("AuthnStatement", "AuthnInstant", is_required=True):
            self._not_early(instant)
        for instant in self._instants("AuthnStatement", "SessionNotOnOrAfter"):
            if self._now >= instant:
                self._expired("the session at the identity provider has ended")
        return read_time(self._assertion.get("IssueInstant"))

    def _check_issue(self, issued: datetime) -> None:
        self._not_early(issued)
        if self._now - self._skew >= issued + timedelta(seconds=REDEEM):
            self._expired("token must be redeemed within 5 minutes of issuance")

    def _not_early(self, instant: datetime) -> None:
        if instant > self._now + self._skew:
            raise invalid("the response is not valid yet", "SA31", "time")

    def _not_late(self, instant: datetime, message: str) -> None:
        if self._now - self._skew >= instant:  # identity providers write the year 9999, to which nothing can be added
            self._expired(message)

    def _expired(self, message: str) -> NoReturn:
        raise ExpiredTokenError(message, reason="expired", rule="SA31")

    def _instants(self, statement: str, attribute: str, *, is_required: bool = False) -> Iterator[datetime]:
        for element in children(self._assertion, SAML, statement):
            if is_required or attribute in element.attrib:
                yield read_time(element.get(attribute, ""))

    # -- audience, recipient, destination (SA32 to SA34) -------------------------------------------------------------------

    def _conditions(self) -> Element:
        return only_child(self._assertion, SAML, "Conditions")

    def _audience(self) -> None:
        conditions = self._conditions()
        if any(condition.tag not in _CONDITIONS for condition in conditions):
            raise invalid("a condition is not known", "SA32", "audience")
        restrictions = children(conditions, SAML, "AudienceRestriction")
        if not restrictions:
            raise invalid("there is no audience restriction", "SA32", "audience")
        for restriction in restrictions:
            audiences = [text_of(audience).strip(" \t\r\n") for audience in children(restriction, SAML, "Audience")]
            if not any(map(self._target.is_audience, audiences)):
                raise invalid("the audience is not accepted", "SA32", "audience")

    def _answers(self) -> frozenset[str]:
        named = (element.get("InResponseTo") for element in (self._response, *self._confirmation_data()))
        return frozenset(request for request in named if request is not None)

    def _confirmation_data(self) -> list[Element]:
        found: list[Element] = self._assertion.findall(
            f"{{{SAML}}}Subject/{{{SAML}}}SubjectConfirmation/{{{SAML}}}SubjectConfirmationData"
        )
        return found

    def _recipient(self) -> str:
        subject = only_child(self._assertion, SAML, "Subject")
        confirmation = only_child(subject, SAML, "SubjectConfirmation")
        if confirmation.get("Method") != _BEARER:
            raise invalid("the subject confirmation is not of a bearer", "SA33", "recipient")
        data = only_child(confirmation, SAML, "SubjectConfirmationData")
        recipient: str = data.get("Recipient", "")
        if not self._target.is_recipient(recipient):
            raise invalid("the recipient is not accepted", "SA33", "recipient")
        destination = self._response.get("Destination")
        if destination is not None and not self._target.is_recipient(destination):
            raise invalid("the destination is not accepted", "SA34", "recipient")
        if not children(self._assertion, SAML, "AuthnStatement"):
            raise invalid("there is no `AuthnStatement`", "SA37")
        return recipient

    # -- subject (SA36, SA38) -----------------------------------------------------------------------------------------------

    def _subject(self) -> tuple[str, str]:
        """Text and format of the NameID; an empty text if there is none, which step 11 refuses."""
        subject = only_child(self._assertion, SAML, "Subject")
        if any(child.tag not in _IN_SUBJECT for child in subject):
            raise invalid("the subject contains an unexpected element", "SA36", "subject")
        found = children(subject, SAML, "NameID")
        if len(found) > 1:
            raise invalid("the subject has several `NameID`", "SA38", "subject")
        if not found:
            return "", _UNSPECIFIED
        text = text_of(found[0])
        is_plain = text == text.strip() and not any(unicodedata.category(c) == "Cc" for c in text)
        if text and (not is_plain or len(text) > _MAX_NAME_ID):
            raise invalid("the `NameID` has white space at an end, a control character, or is too long", "SA38", "subject")
        return text, found[0].get("Format", _UNSPECIFIED)


_IN_SUBJECT = frozenset(f"{{{SAML}}}{name}" for name in ("NameID", "SubjectConfirmation"))
