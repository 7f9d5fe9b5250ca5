"""`RolesAnywhere`: sessions of roles for clients with X.509 certificates (spec/federation 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fastiam.credentials.results import Assertion, AssumedRole
from fastiam.credentials.sts_errors import StsError
from fastiam.directory.account_records import RevocationList, RolesAnywhereProfile, TrustAnchor
from fastiam.directory.transactions import SINGLE
from fastiam.errors import FastiamError
from fastiam.federation.audit import Audit, Auditor, Entry, log_event
from fastiam.rolesanywhere.attributes import check_tags, hexadecimal_serial, map_attributes, source_identity
from fastiam.rolesanywhere.certificates import check_end_entity, find_path, read_bundle
from fastiam.rolesanywhere.crls import check_revocation
from fastiam.rolesanywhere.objects import RolesAnywhereObjects
from fastiam.rolesanywhere.records import InstanceProperties, RolesAnywhereRecords, Subject, SubjectCredential, UsedRequest
from fastiam.rolesanywhere.request import SessionCall, SignedRequest, read_request
from fastiam.rolesanywhere.response import CreatedSession
from fastiam.rolesanywhere.roles_anywhere_errors import CertificateError, absent, refused_role, refusing
from fastiam.rolesanywhere.settings import RolesAnywhereSettings
from fastiam.rolesanywhere.signature import read_certificates, verify_signature
from fastiam.sts import federated_roles as asserted
from fastiam.sts.sts_service import STS

_KEPT = 10  # certificates, and instance properties, of a subject


class RolesAnywhere:
    """Verifies signed requests, and issues sessions for them.

    Parameters
    ----------
    sts
        decides trust policies and issues the sessions. Its directory contains trust anchors, profiles and revocation lists.
    region
        the region that is served; None serves all, each with its own objects.
    settings
        how strictly requests are verified.
    audit
        receives one `AuditEvent` per call; the default writes to `logging`.

    Attributes
    ----------
    objects
        trust anchors, profiles, revocation lists and subjects, to be created, changed and listed.
    """

    def __init__(
        self,
        sts: STS,
        *,
        region: str | None = None,
        settings: RolesAnywhereSettings = RolesAnywhereSettings(),  # noqa: B008  (frozen)
        audit: Audit = log_event,
    ) -> None:
        self._sts, self._state = sts, sts.issuer.state
        self._region, self._settings = region, settings
        self._auditor = Auditor(audit, hash_personal_data=settings.hash_personal_data)
        self._records = self._state.directory.join(RolesAnywhereRecords())
        self.objects = RolesAnywhereObjects(self._state.directory, clock=self._state.clock, auditor=self._auditor)

    def __repr__(self) -> str:
        sts = getattr(self, "_sts", None)  # tracebacks show objects that are not complete
        return "<RolesAnywhere>" if sts is None else f"<RolesAnywhere: {sts!r}>"

    def create_session(self, request: SignedRequest) -> CreatedSession:
        """CreateSession: a session of a role for the client that has signed the request with the key of a certificate.

        Raises
        ------
        ValidationError
            the form of the request is wrong, or the duration is beyond the maximum of the role (`ValidationException`); a trust
            anchor or profile that does not exist (`ResourceNotFoundException`).
        CertificateError
            signature, date, certificate, path, revocation, profile, or what the certificate says (`AccessDeniedException`).
        AccessDeniedError
            the trust policy of the role does not allow it (`AccessDeniedException`).
        PolicyError
            the session policy of the profile is rejected.
        """
        now = self._state.now()
        try:
            call: SessionCall | FastiamError = read_request(request)
        except FastiamError as error:
            call = error
        account = "" if isinstance(call, FastiamError) else call.account
        with self._auditor.call("CreateSession", now, account=account, source=request.source) as entry:
            if isinstance(call, FastiamError):
                raise call
            entry.add(trust_anchor=call.trust_anchor, profile=call.profile, role=call.role)
            return self._create(call, now, entry)

    def _create(self, call: SessionCall, now: datetime, entry: Entry) -> CreatedSession:
        self._state.directory.refresh()
        anchor, profile = self._find(call)
        leaf, chain = read_certificates(call)
        digest, date = verify_signature(call, leaf, now=now, skew=self._settings.skew)
        with refusing("RW30", "its subject cannot be read"):
            name = leaf.subject.rfc4514_string()
        entry.add(serial=hexadecimal_serial(leaf), subject=name)
        _check_anchor(anchor)
        check_end_entity(leaf, now)
        with refusing("RW32", f"the certificates of `{anchor.arn}` cannot be read"):
            authorities = read_bundle(anchor.certificates)
        path = find_path(leaf, chain, authorities, now)
        arn = _subject_arn(call, leaf)
        try:
            if self._settings.single_use:
                self._use_up(digest, date, now)
            made = self._issue(call, anchor, profile, path, now, entry)
        except FastiamError:
            self._note(arn, name, leaf, call, now, failed=True)
            raise
        self._note(arn, name, leaf, call, now, failed=False)
        parts = {field.name: getattr(made, field.name) for field in fields(made)}
        return CreatedSession(**parts, subject_arn=arn, role_arn=call.role)

    def _find(self, call: SessionCall) -> tuple[TrustAnchor, RolesAnywhereProfile]:
        """Trust anchor and profile, of one partition, region and account (step 2 of 6.4)."""
        tables, place = self._state.tables, f"arn:{call.partition}:rolesanywhere:{call.region}:{call.account}:"
        anchor, profile = tables.trust_anchors.get(call.trust_anchor), tables.roles_anywhere_profiles.get(call.profile)
        if anchor is None or self._region not in (None, call.region):
            raise absent("the trust anchor does not exist")
        if profile is None or not profile.arn.startswith(place):
            raise absent("the profile does not exist in the account and region of the trust anchor")
        return anchor, profile

    def _issue(
        self,
        call: SessionCall,
        anchor: TrustAnchor,
        profile: RolesAnywhereProfile,
        path: Sequence[x509.Certificate],
        now: datetime,
        entry: Entry,
    ) -> AssumedRole:
        """Steps 6 to 11 of 6.4, over a path that is valid."""
        leaf = path[0]
        lists = self._lists(anchor)
        for warning in check_revocation(path, lists, anchor.certificates, now):
            entry.warn(warning)
        _check_profile(profile, call)
        name = hexadecimal_serial(leaf) if call.session_name is None else call.session_name
        identity, found = source_identity(leaf), map_attributes(leaf, profile.attribute_mappings)
        check_tags(found, is_strict=self._settings.strict_tags)
        for key in found.unmapped:
            entry.warn(f"the attribute `{key}` is not a tag value [RW52]")
        entry.add(session_name=name, source_identity=identity)
        verified = Assertion(
            provider=anchor.arn,
            keys={"aws:SourceArn": anchor.arn, "aws:SourceAccount": anchor.account},
            session_name=name,
            tags=dict(found.tags),
            source_identity=identity,
            not_after=leaf.not_valid_after_utc,
        )
        longest = profile.duration_seconds
        wanted = asserted.request_of(
            verified,
            call.role,
            longest if call.duration is None else min(call.duration, longest),
            profile.session_policy or None,
            profile.managed_policy_arns,
        )
        try:
            return asserted.with_certificate(self._sts.issuer, verified, wanted, now=now)
        except StsError as error:
            raise refused_role(error, call.role, found.unmapped) from None

    def _lists(self, anchor: TrustAnchor) -> list[RevocationList]:
        """The enabled revocation lists of a trust anchor."""
        lists = self._state.tables.revocation_lists.values()
        return [crl for crl in lists if crl.trust_anchor == anchor.arn and crl.enabled]

    # -- what is recorded ---------------------------------------------------------------------------------------------

    def _use_up(self, digest: str, date: datetime, now: datetime) -> None:
        """Refuse a second use of a signed request. A deleted entry is older than every request that is accepted (ST20)."""
        with self._state.directory.transaction():
            tables = self._records.tables
            is_evicted = tables.evicted is not None and date <= tables.evicted.date
            if digest in tables.used_requests or is_evicted:
                raise CertificateError("the request was used before", reason="replayed", rule="RW20")
            self._records.put("used_requests", digest, UsedRequest(date))
            too_old = now - timedelta(seconds=self._settings.skew)
            old = {key: used for key, used in tables.used_requests.items() if used.date < too_old}
            for key in old:
                self._records.put("used_requests", key, None)
            if old:
                self._records.put("evicted", SINGLE, max(old.values(), key=lambda used: used.date))

    def _note(self, arn: str, name: str, leaf: x509.Certificate, call: SessionCall, now: datetime, *, failed: bool) -> None:
        """Record the subject of a certificate whose path is valid (RW14)."""
        pem = leaf.public_bytes(Encoding.PEM).decode()
        new = SubjectCredential(str(leaf.serial_number), leaf.issuer.rfc4514_string(), now, failed, pem)
        properties = InstanceProperties(now, failed, dict(call.instance_properties))
        with self._state.directory.transaction():
            old = self._records.tables.subjects.get(arn) or Subject(arn, call.account, name, now, now)
            others = [each for each in old.credentials if (each.serial, each.issuer) != (new.serial, new.issuer)]
            kept = old.instance_properties
            if call.instance_properties:
                kept = (*(each for each in kept if each.properties != properties.properties), properties)
            subject = replace(old, last_seen=now, credentials=(*others, new)[-_KEPT:], instance_properties=kept[-_KEPT:])
            self._records.put("subjects", arn, subject)


def _check_anchor(anchor: TrustAnchor) -> None:
    """Step 4 of 6.4."""
    if not anchor.enabled:
        raise CertificateError("the trust anchor is disabled", reason="disabled", rule="6.4")
    if anchor.crls_missing or not anchor.certificates:
        what = "revocation lists" if anchor.certificates else "certificates"
        raise CertificateError(f"the {what} of the trust anchor are unknown", reason="incomplete", rule="RW15")


def _check_profile(profile: RolesAnywhereProfile, call: SessionCall) -> None:
    """Steps 7 and 8 of 6.4."""
    if not profile.enabled:
        raise CertificateError("the profile is disabled", reason="disabled", rule="6.4")
    if call.role not in profile.role_arns or call.role.split(":")[1:5:3] != [call.partition, call.account]:
        raise CertificateError("the role is not in the profile", reason="wrong_role", rule="6.4")
    if call.session_name is not None and not profile.accept_role_session_name:
        raise CertificateError("the profile does not accept a role session name", reason="wrong_role", rule="RW54")


def _subject_arn(call: SessionCall, leaf: x509.Certificate) -> str:
    """The ARN of the record of a subject: one for each account, region and subject name."""
    name = leaf.subject.public_bytes()
    digest = hashlib.sha256(f"{call.partition}:{call.region}:{call.account}\0".encode() + name).digest()
    id_ = UUID(bytes=digest[:16], version=4)
    return f"arn:{call.partition}:rolesanywhere:{call.region}:{call.account}:subject/{id_}"
