"""Attributes of a SAML assertion: AWS's own, and those that become condition keys (2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fastiam.credentials.sts_errors import ValidationError
from fastiam.credentials.text_rules import check_form
from fastiam.federation.audit import Entry
from fastiam.federation.saml_response import invalid
from fastiam.federation.xml_reading import SAML, Element, XmlError, children, text_of
from fastiam.model.arn import split_arn
from fastiam.sts import parameter_limits as limits

PREFIX = "https://aws.amazon.com/SAML/Attributes/"
_TAG = f"{PREFIX}PrincipalTag:"
_ROLE, _NAME, _DURATION = f"{PREFIX}Role", f"{PREFIX}RoleSessionName", f"{PREFIX}SessionDuration"
_TRANSITIVE, _SOURCE = f"{PREFIX}TransitiveTagKeys", f"{PREFIX}SourceIdentity"
_KNOWN = frozenset({_ROLE, _NAME, _DURATION, _TRANSITIVE, _SOURCE})
_SECONDS = re.compile("[0-9]{1,5}", re.ASCII)

_PERSON, _ORG = "urn:oid:1.3.6.1.4.1.5923.1.1.1.", "urn:oid:1.3.6.1.4.1.5923.1.2.1."
_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_PERSON_KEYS = (
    "Affiliation Nickname OrgDN OrgUnitDN PrimaryAffiliation PrincipalName Entitlement PrimaryOrgUnitDN ScopedAffiliation"
    " TargetedID Assurance"
).split()
_ORG_KEYS = "HomePageURI IdentityAuthNPolicyURI LegalName SuperiorURI WhitePagesURI".split()
KEY_OF_ATTRIBUTE: Mapping[str, str] = {
    **{f"{_PERSON}{number}": f"saml:eduPerson{key}" for number, key in enumerate(_PERSON_KEYS, 1)},
    **{f"{_ORG}{number}": f"saml:eduOrg{key}" for number, key in enumerate(_ORG_KEYS, 2)},
    "urn:oid:2.5.4.3": "saml:cn",
    f"{_CLAIMS}name": "saml:name",
    "http://schemas.xmlsoap.org/claims/CommonName": "saml:commonName",
    "2.5.4.3": "saml:commonName",
    f"{_CLAIMS}givenname": "saml:givenName",
    "2.5.4.42": "saml:givenName",
    "2.4.5.42": "saml:givenName",
    f"{_CLAIMS}surname": "saml:surname",
    "2.5.4.4": "saml:surname",
    f"{_CLAIMS}emailaddress": "saml:mail",
    "0.9.2342.19200300.100.1.3": "saml:mail",
    "0.9.2342.19200300100.1.3": "saml:mail",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid": "saml:primaryGroupSID",
    "0.9.2342.19200300.100.1.1": "saml:uid",
    "0.9.2342.19200300100.1.1": "saml:uid",
    "2.5.4.45": "saml:x500UniqueIdentifier",
    "0.9.2342.19200300.100.1.45": "saml:organizationStatus",
    "0.9.2342.19200300100.1.45": "saml:organizationStatus",
}
_SINGLE = frozenset(f"saml:eduPerson{key}" for key in "OrgDN PrimaryAffiliation PrimaryOrgUnitDN PrincipalName".split())


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes that have a meaning, by name. `twice` are the names that occur more than once, `Role` excepted."""

    values: Mapping[str, tuple[str, ...]]
    twice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAttributes:
    """AWS's own attributes except `Role` (step 12)."""

    session_name: str
    duration: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None


def read_attributes(assertion: Element, entry: Entry) -> Attributes:
    """The attributes that have a meaning; all others are ignored. Names under AWS's prefix that have none are warnings (SA51).

    Raises
    ------
    IdentityTokenError
        an encrypted attribute, or a value with child elements.
    """
    values: dict[str, tuple[str, ...]] = {}
    twice: list[str] = []
    for name, attribute in _attributes(assertion):
        if not _has_meaning(name):
            if name.startswith(PREFIX):
                entry.warn("an attribute under the prefix of AWS is not known")
            continue
        if name in values and name != _ROLE:
            twice.append(name)
        values[name] = values.get(name, ()) + tuple(_values(attribute))
    return Attributes(values, tuple(twice))


def read_all_attributes(assertion: Element) -> dict[str, str | list[str]]:
    """All attributes of an assertion by name; one with several values is a list.

    Raises
    ------
    IdentityTokenError
        an encrypted attribute, or a value with child elements.
    """
    values: dict[str, list[str]] = {}
    for name, attribute in _attributes(assertion):
        values.setdefault(name, []).extend(_values(attribute))
    return {name: found[0] if len(found) == 1 else found for name, found in values.items() if found}


def _attributes(assertion: Element) -> Iterable[tuple[str, Element]]:
    for statement in children(assertion, SAML, "AttributeStatement"):
        for attribute in statement:
            if attribute.tag != f"{{{SAML}}}Attribute":
                raise invalid("an `AttributeStatement` contains something other than attributes", "SA36")
            yield attribute.get("Name", ""), attribute


def _has_meaning(name: str) -> bool:
    return name in _KNOWN or name in KEY_OF_ATTRIBUTE or name.startswith(_TAG)


def _values(attribute: Element) -> Iterable[str]:
    """Values with trimmed ends; empty ones are dropped."""
    for value in attribute:
        if value.tag != f"{{{SAML}}}AttributeValue":
            raise invalid("an `Attribute` contains something other than values", "2.6")
        try:
            text = text_of(value).strip(" \t\r\n")
        except XmlError as error:
            raise invalid(str(error), "2.6") from None
        if text:
            yield text


def read_pairs(attributes: Attributes, entry: Entry) -> frozenset[tuple[str, str]]:
    """The (role, provider) pairs of the `Role` attribute. A value of another form is ignored, with a warning."""
    pairs = set()
    for value in attributes.values.get(_ROLE, ()):
        parts = [part.strip() for part in value.split(",")]
        kinds = [_kind(part) for part in parts]
        if kinds == ["role", "saml-provider"]:
            pairs.add((parts[0], parts[1]))
        elif kinds == ["saml-provider", "role"]:
            pairs.add((parts[1], parts[0]))
        else:
            entry.warn("a `Role` value is not a role and a SAML provider")
    return frozenset(pairs)


def _kind(text: str) -> str:
    arn = split_arn(text)
    return arn.rest.partition("/")[0] if arn is not None and arn.service == "iam" else ""


def read_aws_attributes(attributes: Attributes) -> AwsAttributes:
    """Session name, source identity, tags and duration.

    Raises
    ------
    IdentityTokenError
        one is missing, doubled, or has another form (step 12).
    """
    if attributes.twice:
        raise invalid("an attribute occurs twice", "2.6", "attributes")
    name, source = _one(attributes, _NAME), _at_most_one(attributes, _SOURCE)
    tags = {key.removeprefix(_TAG): _one(attributes, key) for key in attributes.values if key.startswith(_TAG)}
    transitive = attributes.values.get(_TRANSITIVE, ())
    try:
        check_form(name, limits.SESSION_NAME)
        limits.read_session_tags(tags, transitive, {})
        if source is not None:
            check_form(source, limits.SOURCE_IDENTITY)
    except ValidationError as error:
        raise invalid(error.message, error.rule, "attributes") from None
    return AwsAttributes(
        session_name=name,
        duration=_duration(_at_most_one(attributes, _DURATION)),
        tags=tags,
        transitive_tag_keys=tuple(dict.fromkeys(transitive)),
        source_identity=source,
    )


def _duration(text: str | None) -> int | None:
    if text is None:
        return None
    if not _SECONDS.fullmatch(text) or not limits.ROLE.low <= int(text) <= limits.ROLE.high:
        raise invalid("`SessionDuration` is not a number of 900 to 43,200", "2.6", "attributes")
    return int(text)


def _one(attributes: Attributes, name: str) -> str:
    value = _at_most_one(attributes, name)
    if value is None:
        raise invalid(f"the attribute `{_short(name)}` has no value", "2.6", "attributes")
    return value


def _at_most_one(attributes: Attributes, name: str) -> str | None:
    values = attributes.values.get(name, ())
    if len(values) > 1:
        raise invalid(f"the attribute `{_short(name)}` has several values", "2.6", "attributes")
    return values[0] if values else None


def _short(name: str) -> str:
    return "PrincipalTag" if name.startswith(_TAG) else name.removeprefix(PREFIX)


def read_keys(attributes: Attributes) -> dict[str, str | list[str]]:
    """The condition keys that attributes become (SA52).

    Raises
    ------
    IdentityTokenError
        two attributes of one key differ, or a single-valued key has several values.
    """
    keys: dict[str, str | list[str]] = {}
    for name, values in attributes.values.items():
        key = KEY_OF_ATTRIBUTE.get(name)
        if key is None or not values:
            continue
        if key in _SINGLE and len(values) > 1:
            raise invalid(f"`{key}` has several values", "SA52", "attributes")
        value: str | list[str] = values[0] if key in _SINGLE else list(values)
        if keys.setdefault(key, value) != value:
            raise invalid(f"two attributes of `{key}` differ", "SA52", "attributes")
    return keys
