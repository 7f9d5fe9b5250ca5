"""What a certificate contains about its subject: session tags, source identity and session name (6.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography import x509

from fastiam.directory.account_records import default_mappings
from fastiam.model.request import shorten
from fastiam.rolesanywhere.roles_anywhere_errors import CertificateError, invalid, refusing
from fastiam.sts.parameter_limits import MAX_TAGS, SOURCE_IDENTITY, is_tag_value

SUBJECT, ISSUER, SAN = default_mappings()
ALL, NAME = "*", "Name/"
_OIDS = {  # RW51
    "CN": "2.5.4.3",
    "C": "2.5.4.6",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "STREET": "2.5.4.9",
    "SN": "2.5.4.4",
    "GN": "2.5.4.42",
    "T": "2.5.4.12",
    "I": "2.5.4.43",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
    "E": "1.2.840.113549.1.9.1",
    "serialNumber": "2.5.4.5",
    "dnQualifier": "2.5.4.46",
    "generationQualifier": "2.5.4.44",
    "pseudonym": "2.5.4.65",
    "postalCode": "2.5.4.17",
}
_ALIASES = {"P": "2.5.4.65"}  # known to rules that name it; `*` uses the long name
_DOTTED = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,38})){1,30}")
_MAX_SPECIFIER = 60
_MAX_PREFIXED, _MAX_NAME = 61, 64  # characters of a CN (RW53)


@dataclass(frozen=True, slots=True)
class Tags:
    """Session tags, and the names of attributes that gave none (RW52)."""

    tags: Mapping[str, str]
    unmapped: tuple[str, ...]


def read_specifiers(field: str, specifiers: Iterable[str]) -> tuple[str, ...]:
    """The specifiers of the rules for one certificate field (RW50).

    Raises
    ------
    ValidationError
        there is no such field or specifier.
    """
    if field not in (SUBJECT, ISSUER, SAN):
        raise invalid(f"`{shorten(field)}` is not a certificate field", rule="RW50", hint=f"use {SUBJECT}, {ISSUER} or {SAN}")
    found = []
    for given in (specifiers,) if isinstance(specifiers, str) else specifiers:
        specifier = f"{NAME}{ALL}" if field == SAN and given in ("Name", NAME) else given
        rdn = specifier.removeprefix(NAME) if field == SAN and specifier.startswith(NAME) else specifier
        is_san = field == SAN and specifier in ("DNS", "URI")
        is_rdn = rdn in (ALL, *_OIDS, *_ALIASES) or _DOTTED.fullmatch(rdn) is not None
        if len(specifier) > _MAX_SPECIFIER or not (is_san or (is_rdn and (field != SAN or rdn != specifier))):
            raise invalid(f"`{shorten(given)}` is not a specifier of `{field}`", rule="RW50")
        found.append(specifier)
    return tuple(dict.fromkeys(found))


def map_attributes(certificate: x509.Certificate, mappings: Mapping[str, Iterable[str]]) -> Tags:
    """The session tags that the rules of a profile make of a certificate (RW50 to RW52)."""
    values: dict[str, str | None] = {}
    with refusing("RW50", "its attributes cannot be read"):
        names = _alternative_names(certificate)
        for field, name in ((SUBJECT, certificate.subject), (ISSUER, certificate.issuer)):
            for specifier in mappings.get(field, ()):
                values |= _of_name(f"{field}/", specifier, name)
        for specifier in mappings.get(SAN, ()):
            if specifier.startswith(NAME):
                directory = next((each.value for each in names if isinstance(each, x509.DirectoryName)), None)
                if directory is not None:
                    values |= _of_name(f"{SAN}/{NAME}", specifier.removeprefix(NAME), directory)
            else:
                kind = x509.DNSName if specifier == "DNS" else x509.UniformResourceIdentifier
                first = next((each.value for each in names if isinstance(each, kind)), None)
                if first is not None:
                    values[f"{SAN}/{specifier}"] = first
    tags = {key: value for key, value in values.items() if value is not None and is_tag_value(value)}
    return Tags(tags, tuple(key for key in values if key not in tags))


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _of_name(prefix: str, specifier: str, name: x509.Name) -> dict[str, str | None]:
    """The values of the RDN types that a specifier names; None for one that has no single reading."""
    oids = _OIDS if specifier == ALL else {specifier: _OIDS.get(specifier) or _ALIASES.get(specifier) or specifier}
    found: dict[str, str | None] = {}
    for short, oid in oids.items():
        values = [part.value for part in name if part.oid.dotted_string == oid]
        if values:
            found[prefix + short] = _joined(values)
    return found


def _joined(values: list[str | bytes]) -> str | None:
    """Several values joined with `/`. A value that has a `/` itself gives none: it would read as several (RW51)."""
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values) or any("/" in text for text in texts):
        return None
    return "/".join(texts)


def check_tags(found: Tags, *, is_strict: bool) -> None:
    """Step 9 of 6.4 for tags.

    Raises
    ------
    CertificateError
        too many, or an attribute that gives no tag where that is not accepted.
    """
    if is_strict and found.unmapped:
        message = f"attributes cannot be mapped into session tags: {', '.join(found.unmapped)}"
        raise CertificateError(f"unable to assume role: {message}", reason="wrong_attribute", rule="RW52")
    if len(found.tags) > MAX_TAGS:
        message = f"the certificate gives {len(found.tags)} session tags, of {MAX_TAGS} at most"
        raise CertificateError(f"unable to assume role: {message}", reason="wrong_attribute", rule="RW52")


def hexadecimal_serial(certificate: x509.Certificate) -> str:
    """The serial number in lower-case hexadecimal, with an even number of digits (RW53, RW54)."""
    digits = f"{certificate.serial_number:x}"
    return "0" * (len(digits) % 2) + digits


def source_identity(certificate: x509.Certificate) -> str:
    """The source identity of the session (RW53).

    Raises
    ------
    CertificateError
        the common name gives none.
    """
    with refusing("RW53", "its subject cannot be read"):
        names = [part.value for part in certificate.subject if part.oid.dotted_string == _OIDS["CN"]]
    if not names:
        return f"ID={hexadecimal_serial(certificate)}"
    name = names[0]
    if len(names) > 1 or not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME:
        raise _no_identity(f"the certificate has not one common name of 1 to {_MAX_NAME} characters")
    if len(name) > _MAX_PREFIXED and name.startswith(("CN=", "ID=")):
        raise _no_identity("the common name looks like a source identity of another certificate")
    identity = name if len(name) > _MAX_PREFIXED else f"CN={name}"
    if SOURCE_IDENTITY.pattern.fullmatch(identity) is None:
        raise _no_identity("the common name has characters that no source identity has")
    return identity


def _no_identity(message: str) -> CertificateError:
    return CertificateError(f"unable to assume role: {message}", reason="wrong_attribute", rule="RW53")
