"""Certificates: which keys are used, what an end entity has to be, and the path to a trust anchor (6.4).

`cryptography.x509.verification` validates each path. Candidates for it are searched here, under a limit of signature checks
that its own search does not have (RW22), and some constraints that it leaves out are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from fastiam.federation.jwks import MAX_RSA_BITS, MIN_RSA_BITS, is_usable_rsa
from fastiam.rolesanywhere.request import MAX_INTERMEDIATES
from fastiam.rolesanywhere.roles_anywhere_errors import CertificateError, refusing, untrusted

MAX_CHECKS = 20  # signatures verified for one request (RW22)
MAX_CERTIFICATES = 50  # of a trust anchor (RW10)
MAX_BUNDLE = 204_800  # characters (RW10)
_CURVES = (SECP256R1, SECP384R1, SECP521R1)
_HASHES = ("sha256", "sha384", "sha512")
_CLIENTS = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
_OCTETS = 20  # of a serial number (RW54)
Key = RSAPublicKey | EllipticCurvePublicKey
_PERMIT_ALL = ExtensionPolicy.permit_all()
_AUTHORITIES = _PERMIT_ALL.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None).require_present(
    x509.KeyUsage, Criticality.AGNOSTIC, None
)


def usable_key(certificate: x509.Certificate) -> Key:
    """The public key, if it is of a type and size that may verify (RW30).

    Raises
    ------
    CertificateError
        it is not.
    """
    with refusing("RW30", "its key cannot be read"):
        key = certificate.public_key()
    if isinstance(key, RSAPublicKey) and is_usable_rsa(key):
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    bits = f"{MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
    raise untrusted(f"its key is neither RSA of {bits} nor EC P-256, P-384 or P-521", rule="RW30")


def has_whole_signature(der: bytes, signature: bytes) -> bool:
    """Whether the signature at the end of a DER encoding is of whole bytes: no other encoding of it is accepted."""
    return der.endswith(b"\0" + signature)


def has_strong_hash(certificate: x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList) -> bool:
    """Whether it is signed with SHA-256 or stronger."""
    algorithm = certificate.signature_hash_algorithm
    return algorithm is not None and algorithm.name in _HASHES


def usage_of(certificate: x509.Certificate) -> x509.KeyUsage | None:
    """The key usage extension."""
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether basic constraints say that it is one."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _serves_clients(certificate: x509.Certificate) -> bool:
    """Extended key usage: absent, or for clients (RW31)."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return any(usage in _CLIENTS for usage in usages)


def check_end_entity(certificate: x509.Certificate, now: datetime) -> None:
    """The requirements on an end entity (RW30, RW31).

    Raises
    ------
    CertificateError
        it is not one.
    """
    usable_key(certificate)
    with refusing("RW30", "it cannot be read"):
        usage = usage_of(certificate)
        problems = {
            "it is not of version 3": certificate.version is not x509.Version.v3,
            "it is of a certificate authority": is_authority(certificate),
            "its key usage has no digital signature": usage is None or not usage.digital_signature,
            "it is signed with a weak hash": not has_strong_hash(certificate),
            "its subject is empty": not list(certificate.subject),
            "its serial number is negative, zero or longer than 20 octets": not 0
            < certificate.serial_number
            < 1 << 8 * _OCTETS - 1,
        }
        for problem, is_there in problems.items():
            if is_there:
                raise untrusted(problem, rule="RW30")
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            raise untrusted("it is not valid now", rule="RW30", reason="expired")
        if not _serves_clients(certificate):
            raise untrusted("its extended key usage has no client authentication", rule="RW31")


@lru_cache(maxsize=256)
def read_bundle(text: str) -> tuple[x509.Certificate, ...]:
    """The certificates of PEM text. PERF: cached, since each request names a trust anchor.

    Raises
    ------
    ValueError
        there is none, or one cannot be read.
    """
    return tuple(x509.load_pem_x509_certificates(text.encode("ascii")))


class _Search:
    """The paths from an end entity to a trust anchor by their names, under a limit of signature checks."""

    def __init__(self, chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]) -> None:
        self._anchors, self._checks = list(filter(_is_usable, anchors)), 0
        roots = set(anchors)  # never trusted from the request
        self._pool = [each for each in dict.fromkeys(chain) if each not in roots and _is_usable(each)]

    def paths(self, *path: x509.Certificate) -> Iterator[tuple[x509.Certificate, ...]]:
        """Each path that begins so, with its anchor as the last one.

        Raises
        ------
        CertificateError
            the paths so far take too many signature checks.
        """
        issuer = path[-1].issuer.public_bytes()
        for anchor in self._anchors:
            if anchor.subject.public_bytes() == issuer:
                self._count((*path, anchor))
                yield (*path, anchor)
        if len(path) > MAX_INTERMEDIATES:
            return
        keys = {_identity(each) for each in path[1:]}
        for candidate in self._pool:
            is_new = candidate not in path and _identity(candidate) not in keys
            if is_new and candidate.subject.public_bytes() == issuer:
                yield from self.paths(*path, candidate)

    def _count(self, path: Sequence[x509.Certificate]) -> None:
        """Add the signatures that the library verifies at most: it tries each certificate of the issuer's name."""
        subjects = [each.subject.public_bytes() for each in path[1:]]
        self._checks += sum(subjects.count(each.issuer.public_bytes()) for each in path[:-1])
        if self._checks > MAX_CHECKS:
            raise untrusted(f"the path takes more than {MAX_CHECKS} signature checks", rule="RW22")


def _identity(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """Subject and key. Two authorities that share both are one: a path with both of them would be a circle."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.subject.public_bytes(), key


def _is_usable(certificate: x509.Certificate) -> bool:
    try:
        usable_key(certificate)
    except CertificateError:
        return False
    return True


def find_path(
    leaf: x509.Certificate, chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now: datetime
) -> tuple[x509.Certificate, ...]:
    """The path from an end entity to one of the certificates of a trust anchor, both included (RW32).

    Raises
    ------
    CertificateError
        there is none.
    """
    with refusing("RW32", "its path cannot be read"):
        if leaf in anchors:
            raise untrusted("it is a certificate of the trust anchor", rule="RW32")
        search = _Search(chain, anchors)
        problem = "no path leads to the trust anchor"
        for path in search.paths(leaf):
            found = _problem_of(path, now)
            if found is None:
                return path
            problem = found
    raise untrusted(problem, rule="RW32")


def _problem_of(path: Sequence[x509.Certificate], now: datetime) -> str | None:
    """What is wrong with a path of which the names are right; None for a valid one."""
    *_, anchor = path
    for authority in path[1:]:
        usage = usage_of(authority)
        if usage is None or not usage.key_cert_sign:
            return "a certificate authority of the path may not sign certificates"
        if not _serves_clients(authority):
            return "a certificate authority of the path is not for client authentication"
        if authority is not anchor and not has_strong_hash(authority):
            return "a certificate of the path is signed with a weak hash"
        if authority.not_valid_after_utc <= now:  # at the instant itself it is over (ST20); the library includes it
            return "a certificate authority of the path has expired"
        problem = _problem_of_names(authority, path[0])
        if problem is not None:
            return problem
    builder = PolicyBuilder().time(now.astimezone(UTC).replace(tzinfo=None)).store(Store([anchor]))
    builder = builder.max_chain_depth(MAX_INTERMEDIATES)
    verifier = builder.extension_policies(ee_policy=_PERMIT_ALL, ca_policy=_AUTHORITIES).build_client_verifier()
    try:
        verified = verifier.verify(path[0], list(path[1:-1]))
    except VerificationError as error:
        return str(error).partition(" (encountered")[0]
    return None if list(verified.chain) == list(path) else "the path is ambiguous"


def _problem_of_names(authority: x509.Certificate, leaf: x509.Certificate) -> str | None:
    """What is wrong with the names of an end entity below an authority with constraints that the library does not compare.

    These are directory names, e-mail addresses of the subject, and its common name, which becomes the source identity (RW53): it
    must be one of the alternative names that are compared.
    """
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None
    kinds = {type(name) for name in (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ()))}
    has_address = bool(leaf.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS))
    if not kinds <= {x509.DNSName, x509.IPAddress, x509.RFC822Name} or (x509.RFC822Name in kinds and has_address):
        return "a certificate authority of the path has a name constraint that is not supported"
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    compared = {str(each.value) for each in names if type(each) in kinds}
    if any(part.value not in compared for part in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)):
        return "the common name is not an alternative name that the name constraints of its authority are about"
    return None


def check_authority(certificate: x509.Certificate, now: datetime) -> None:
    """The requirements on a certificate of a trust anchor when it is created (RW11).

    Raises
    ------
    CertificateError
        it is not one of an authority that may be trusted.
    """
    usable_key(certificate)
    with refusing("RW11", "it cannot be read"):
        usage = usage_of(certificate)
        problems = {
            "it is not of version 3": certificate.version is not x509.Version.v3,
            "it is not of a certificate authority": not is_authority(certificate),
            "its key usage has no signing of certificates": usage is None or not usage.key_cert_sign,
            "it is signed with a weak hash": not has_strong_hash(certificate),
            "it has expired": certificate.not_valid_after_utc <= now,
        }
        for problem, is_there in problems.items():
            if is_there:
                raise untrusted(problem, rule="RW11")
