"""Certificate revocation lists: which are accepted for a trust anchor, and what they revoke (RW13, RW34)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fastiam.directory.account_records import RevocationList
from fastiam.rolesanywhere.certificates import has_strong_hash, has_whole_signature, read_bundle, usable_key, usage_of
from fastiam.rolesanywhere.roles_anywhere_errors import refusing, untrusted

MAX_LENGTH = 300_000  # bytes of PEM text
MAX_PER_ANCHOR = 2
_KNOWN = (
    x509.CRLNumber,
    x509.AuthorityKeyIdentifier,
    x509.IssuerAlternativeName,
    x509.IssuingDistributionPoint,
    x509.FreshestCRL,
    x509.AuthorityInformationAccess,
)
_KNOWN_OF_ENTRIES = (x509.CRLReason, x509.InvalidityDate)
Name = tuple[frozenset[tuple[str, str]], ...]


@dataclass(frozen=True, slots=True)
class ReadCrl:
    """A revocation list whose form is accepted. `number` is None where it has none."""

    issuer: Name
    serials: frozenset[int]
    this_update: datetime
    next_update: datetime | None
    number: int | None


def canonical_name(name: x509.Name) -> Name:
    """A name for comparisons as of RFC 5280 7.1: whatever the case, the blanks and the kind of string."""
    return tuple(frozenset((part.oid.dotted_string, _canonical(part.value)) for part in rdn) for rdn in name.rdns)


def _canonical(value: str | bytes) -> str:
    text = value.hex() if isinstance(value, bytes) else value
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@lru_cache(maxsize=64)
def read_crl(text: str, bundle: str) -> ReadCrl:
    """The revocation list of PEM text, signed by a certificate of a bundle. PERF: cached, since each request asks for it.

    Raises
    ------
    ValueError
        it is not acceptable.
    """
    crl = x509.load_pem_x509_crl(text.encode("ascii"))
    if not has_whole_signature(crl.public_bytes(Encoding.DER), crl.signature):
        raise ValueError("the signature has unused bits")
    number = None
    for extension in crl.extensions:
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            raise ValueError("it is a delta CRL")
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            _check_scope(extension.value)
        if extension.critical and not isinstance(extension.value, _KNOWN):
            raise ValueError("it has an unknown critical extension")
        if isinstance(extension.value, x509.CRLNumber):
            number = extension.value.crl_number
    _check_issuer(crl, read_bundle(bundle))
    return ReadCrl(
        issuer=canonical_name(crl.issuer),
        serials=frozenset(map(_serial, crl)),
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        number=number,
    )


def _check_scope(point: x509.IssuingDistributionPoint) -> None:
    """A certificate that the list does not have counts as not revoked: the list must be about all of them (RW13)."""
    if point.indirect_crl:
        raise ValueError("it is an indirect CRL")
    if point.only_contains_user_certs or point.only_contains_ca_certs or point.only_contains_attribute_certs:
        raise ValueError("it is limited to some kinds of certificates")
    if point.only_some_reasons:
        raise ValueError("it is limited to some reasons")


def _serial(entry: x509.RevokedCertificate) -> int:
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CertificateIssuer):
            raise ValueError("it has an entry of another issuer")
        if extension.critical and not isinstance(extension.value, _KNOWN_OF_ENTRIES):
            raise ValueError("an entry has an unknown critical extension")
    return entry.serial_number


def _check_issuer(crl: x509.CertificateRevocationList, anchors: Sequence[x509.Certificate]) -> None:
    if not has_strong_hash(crl):
        raise ValueError("it is signed with a weak hash")
    name = canonical_name(crl.issuer)
    for anchor in anchors:
        usage = usage_of(anchor)
        if canonical_name(anchor.subject) != name or usage is None or not usage.crl_sign:
            continue
        if crl.is_signature_valid(usable_key(anchor)):
            return
    raise ValueError("no certificate of the trust anchor that may sign CRLs has signed it")


def check_revocation(path: Sequence[x509.Certificate], lists: Sequence[RevocationList], bundle: str, now: datetime) -> list[str]:
    """Look up each certificate below the anchor in each list (step 6 of 6.4). Returns warnings.

    Raises
    ------
    CertificateError
        one is revoked, or a list cannot be read, so that it is unknown what it revokes.
    """
    warnings = []
    for stored in lists:
        with refusing("RW34", f"the revocation list `{stored.arn}` cannot be read"):
            crl = read_crl(stored.data, bundle)
            revoked = [c for c in path[:-1] if c.serial_number in crl.serials and canonical_name(c.issuer) == crl.issuer]
        if revoked:
            raise untrusted(f"a certificate of the path is revoked by `{stored.arn}`", rule="RW34", reason="revoked")
        if crl.next_update is not None and crl.next_update <= now:
            warnings.append(f"the revocation list `{stored.arn}` is past its next update [RW34]")
    if len(path) > 2:
        warnings.append("the certificate is of an authority below the trust anchor, whose revocations are unknown [RW13]")
    return warnings
