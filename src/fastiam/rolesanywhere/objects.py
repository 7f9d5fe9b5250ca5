"""Trust anchors, profiles, revocation lists and subjects: created, changed and listed as the API of IAM Roles Anywhere does.

Each write is checked as AWS checks it (RW10 to RW16), is one transaction of the directory, and gives an audit event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from fastiam.credentials.sts_errors import StsError
from fastiam.credentials.sts_state import Clock, utc_clock
from fastiam.directory.account_records import (
    SESSION_DURATION,
    NotificationSetting,
    RevocationList,
    RolesAnywhereProfile,
    RolesAnywhereRecord,
    TrustAnchor,
)
from fastiam.errors import DirectoryError
from fastiam.federation.audit import Auditor, log_event
from fastiam.model.arn import is_account
from fastiam.model.request import shorten
from fastiam.rolesanywhere import certificates, crls
from fastiam.rolesanywhere.attributes import read_specifiers
from fastiam.rolesanywhere.records import RolesAnywhereRecords, Subject
from fastiam.rolesanywhere.request import MAX_SECONDS, MIN_SECONDS
from fastiam.rolesanywhere.roles_anywhere_errors import absent, invalid
from fastiam.sts.parameter_limits import MAX_ARNS

if TYPE_CHECKING:  # the classes that join several branches
    from fastiam.api.directory import Directory

MAX_ROLES, MAX_MANAGED, MAX_POLICY = 250, 50, 100_000
_REGION = re.compile("[a-z0-9-]{1,64}")
_NAME = re.compile("[ a-zA-Z0-9_-]{1,255}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]{1,580}")
_PCA = re.compile(r"arn:aws[a-z-]*:acm-pca:[a-z0-9-]+:[0-9]{12}:certificate-authority/[!-~]{1,100}")
_EVENTS = ("CA_CERTIFICATE_EXPIRY", "END_ENTITY_CERTIFICATE_EXPIRY")
R = TypeVar("R", TrustAnchor, RevocationList, RolesAnywhereProfile)


class RolesAnywhereObjects:
    """The objects of a directory.

    New objects are disabled unless `enabled` is true. An object is named by its ARN.

    Raises
    ------
    ValidationError
        a value that AWS refuses (`ValidationException`), or no object of that ARN (`ResourceNotFoundException`).
    """

    def __init__(self, directory: Directory, *, clock: Clock = utc_clock, auditor: Auditor | None = None) -> None:
        self._directory, self._clock = directory, clock
        self._auditor = auditor or Auditor(log_event)
        self._records = directory.join(RolesAnywhereRecords())

    # -- trust anchors ------------------------------------------------------------------------------------------------

    def create_trust_anchor(
        self,
        account: str,
        region: str,
        name: str,
        *,
        certificates: str | bytes = "",
        acm_pca_arn: str = "",
        enabled: bool = False,
        tags: Mapping[str, str] = {},
        notification_settings: Iterable[NotificationSetting] = (),
        crl_dp_revocation_enabled: bool = False,
        alias_name: str | None = None,
    ) -> TrustAnchor:
        """A trust anchor over certificates, as PEM text. `acm_pca_arn` names the private authority that they are of, if any."""
        _refuse_members(crlDpRevocationEnabled=crl_dp_revocation_enabled or None, aliasName=alias_name)
        now = self._now()
        anchor = TrustAnchor(
            self._new_arn(account, region, "trust-anchor"),
            account,
            _name(name),
            enabled,
            _bundle(certificates, now, acm_pca_arn),
            _pca(acm_pca_arn),
            notification_settings=_settings(notification_settings),
            tags=dict(tags),
            created=now,
            updated=now,
        )
        return self._add("CreateTrustAnchor", anchor)

    def update_trust_anchor(
        self,
        arn: str,
        *,
        name: str | None = None,
        certificates: str | bytes | None = None,
        acm_pca_arn: str | None = None,
        crl_dp_revocation_enabled: bool = False,
        alias_name: str | None = None,
    ) -> TrustAnchor:
        """Another name, or other certificates; None leaves what is there."""
        _refuse_members(crlDpRevocationEnabled=crl_dp_revocation_enabled or None, aliasName=alias_name)
        with self._changing("UpdateTrustAnchor", arn) as now:
            old = self._get(TrustAnchor, arn)
            new = old if name is None else replace(old, name=_name(name))
            if certificates is not None or acm_pca_arn is not None:
                pca = old.acm_pca_arn if acm_pca_arn is None else _pca(acm_pca_arn)
                text = _bundle(old.certificates if certificates is None else certificates, now, pca)
                new = replace(new, certificates=text, acm_pca_arn=pca)
            return self._replace(new, now)

    def put_notification_settings(self, arn: str, settings: Iterable[NotificationSetting]) -> TrustAnchor:
        """Settings in place of those of the same event and channel. They are stored and have no effect on decisions."""
        with self._changing("PutNotificationSettings", arn) as now:
            old, new = self._get(TrustAnchor, arn), _settings(settings)
            kept = {(each.event, each.channel): each for each in (*old.notification_settings, *new)}
            return self._replace(replace(old, notification_settings=tuple(kept.values())), now)

    def reset_notification_settings(self, arn: str, events: Iterable[str] = _EVENTS) -> TrustAnchor:
        """Take the settings of some events away."""
        gone = tuple(events)
        with self._changing("ResetNotificationSettings", arn) as now:
            old = self._get(TrustAnchor, arn)
            kept = tuple(each for each in old.notification_settings if each.event not in gone)
            return self._replace(replace(old, notification_settings=kept), now)

    # -- profiles -----------------------------------------------------------------------------------------------------

    def create_profile(
        self,
        account: str,
        region: str,
        name: str,
        *,
        role_arns: Iterable[str],
        session_policy: str | Mapping[str, Any] = "",
        managed_policy_arns: Iterable[str] = (),
        duration_seconds: int = SESSION_DURATION,
        enabled: bool = False,
        accept_role_session_name: bool = False,
        require_instance_properties: bool = False,
        tags: Mapping[str, str] = {},
        alias_name: str | None = None,
        tip_configuration: object = None,
    ) -> RolesAnywhereProfile:
        """A profile: the roles of its sessions, and what limits them. `require_instance_properties` is stored and not used."""
        _refuse_members(aliasName=alias_name, tipConfiguration=tip_configuration)
        now = self._now()
        profile = RolesAnywhereProfile(
            self._new_arn(account, region, "profile"),
            account,
            _name(name),
            enabled,
            _roles(role_arns),
            _policy(session_policy),
            _managed(managed_policy_arns),
            _duration(duration_seconds),
            accept_role_session_name,
            require_instance_properties,
            tags=dict(tags),
            created=now,
            updated=now,
        )
        return self._add("CreateProfile", profile)

    def update_profile(
        self,
        arn: str,
        *,
        name: str | None = None,
        role_arns: Iterable[str] | None = None,
        session_policy: str | Mapping[str, Any] | None = None,
        managed_policy_arns: Iterable[str] | None = None,
        duration_seconds: int | None = None,
        accept_role_session_name: bool | None = None,
        alias_name: str | None = None,
        tip_configuration: object = None,
    ) -> RolesAnywhereProfile:
        """Other values of a profile; None leaves what is there."""
        _refuse_members(aliasName=alias_name, tipConfiguration=tip_configuration)
        given = {
            "name": None if name is None else _name(name),
            "role_arns": None if role_arns is None else _roles(role_arns),
            "session_policy": None if session_policy is None else _policy(session_policy),
            "managed_policy_arns": None if managed_policy_arns is None else _managed(managed_policy_arns),
            "duration_seconds": None if duration_seconds is None else _duration(duration_seconds),
            "accept_role_session_name": accept_role_session_name,
        }
        changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        with self._changing("UpdateProfile", arn) as now:
            return self._replace(replace(self._get(RolesAnywhereProfile, arn), **changes), now)

    def put_attribute_mapping(self, arn: str, field: str, specifiers: Iterable[str]) -> RolesAnywhereProfile:
        """The rules of one certificate field, in place of those that it has (RW50)."""
        rules = read_specifiers(field, specifiers)
        with self._changing("PutAttributeMapping", arn) as now:
            old = self._get(RolesAnywhereProfile, arn)
            return self._replace(replace(old, attribute_mappings={**old.attribute_mappings, field: rules}), now)

    def delete_attribute_mapping(self, arn: str, field: str, specifiers: Iterable[str] | None = None) -> RolesAnywhereProfile:
        """Take some rules of one certificate field away, or all of them."""
        gone = None if specifiers is None else read_specifiers(field, specifiers)
        with self._changing("DeleteAttributeMapping", arn) as now:
            old = self._get(RolesAnywhereProfile, arn)
            kept = tuple(rule for rule in old.attribute_mappings.get(field, ()) if gone is not None and rule not in gone)
            return self._replace(replace(old, attribute_mappings={**old.attribute_mappings, field: kept}), now)

    # -- revocation lists ---------------------------------------------------------------------------------------------

    def import_crl(
        self,
        name: str,
        data: str | bytes,
        trust_anchor: str,
        *,
        enabled: bool = False,
        tags: Mapping[str, str] = {},
        alias_name: str | None = None,
    ) -> RevocationList:
        """A revocation list, as PEM text, that a certificate of the trust anchor has signed."""
        _refuse_members(aliasName=alias_name)
        self._directory.refresh()
        anchor = self._get(TrustAnchor, trust_anchor)
        arn = self._new_arn(anchor.account, anchor.arn.split(":")[3], "crl", partition=anchor.arn.split(":")[1])
        with self._changing("ImportCrl", arn) as now:
            anchor = self._get(TrustAnchor, trust_anchor)  # as other processes have left it
            _crl(data, anchor, now)
            have = [crl for crl in self._directory.tables.revocation_lists.values() if crl.trust_anchor == anchor.arn]
            if len(have) >= crls.MAX_PER_ANCHOR:
                raise invalid(f"the trust anchor has {crls.MAX_PER_ANCHOR} revocation lists, which is the most", rule="RW13")
            crl = RevocationList(
                arn, anchor.account, _name(name), anchor.arn, enabled, _text(data), tags=dict(tags), created=now, updated=now
            )
            return self._added(crl)

    def update_crl(
        self, arn: str, *, name: str | None = None, data: str | bytes | None = None, alias_name: str | None = None
    ) -> RevocationList:
        """Another name, or a newer list: never one of an older number or time (RW13)."""
        _refuse_members(aliasName=alias_name)
        with self._changing("UpdateCrl", arn) as now:
            old = self._get(RevocationList, arn)
            new = old if name is None else replace(old, name=_name(name))
            if data is not None:
                anchor = self._get(TrustAnchor, old.trust_anchor)
                read = _crl(data, anchor, now)
                _check_newer(read, _known_crl(old, anchor))
                new = replace(new, data=_text(data))
            return self._replace(new, now)

    # -- all of them --------------------------------------------------------------------------------------------------

    def enable(self, arn: str) -> RolesAnywhereRecord:
        """A trust anchor, profile or revocation list counts."""
        return self._enable(arn, True)

    def disable(self, arn: str) -> RolesAnywhereRecord:
        """A trust anchor or profile gives no sessions any more; what a revocation list revokes is accepted again."""
        return self._enable(arn, False)

    def delete(self, arn: str) -> RolesAnywhereRecord:
        """A trust anchor, with its revocation lists, or a profile or revocation list is gone."""
        record = self.get(arn)
        with self._changing(f"Delete{_TYPES[type(record)][0]}", arn):
            self._directory.delete_roles_anywhere(arn)
        return record

    def get(self, arn: str) -> RolesAnywhereRecord:
        """The trust anchor, profile or revocation list of an ARN."""
        self._directory.refresh()
        record = self._found(arn)
        if record is None:
            raise absent(f"there is no `{shorten(str(arn))}`", rule="6.1")
        return record

    def subjects(self, account: str | None = None) -> list[Subject]:
        """The subjects of certificates that have authenticated, in one account or in all."""
        return [each for each in self._records.tables.subjects.values() if account in (None, each.account)]

    # -- parts --------------------------------------------------------------------------------------------------------

    def _enable(self, arn: str, enabled: bool) -> RolesAnywhereRecord:
        record = self.get(arn)
        with self._changing(f"{'Enable' if enabled else 'Disable'}{_TYPES[type(record)][0]}", arn) as now:
            new: RolesAnywhereRecord = replace(self.get(arn), enabled=enabled, updated=now)
            self._directory.replace_roles_anywhere(new)
            return new

    def _found(self, arn: str) -> RolesAnywhereRecord | None:
        tables: list[Mapping[str, RolesAnywhereRecord]] = [self._table(kind) for kind in _TYPES]
        return next((table[arn] for table in tables if arn in table), None)

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC).replace(microsecond=0)

    @contextmanager
    def _changing(self, kind: str, arn: str) -> Iterator[datetime]:
        """A change of one object: one transaction and one event."""
        now = self._now()
        account = arn.split(":")[4] if arn.count(":") >= 5 else ""
        with self._auditor.call(kind, now, account=account, object=arn) as entry, self._directory.transaction():
            before = self._found(arn)
            yield now
            after = self._found(arn)
            if before is not None and after is not None:
                names = (each.name for each in fields(before) if getattr(before, each.name) != getattr(after, each.name))
                entry.add(changed=", ".join(name for name in names if name != "updated"))

    def _add(self, kind: str, record: R) -> R:
        with self._changing(kind, record.arn):
            return self._added(record)

    def _added(self, record: R) -> R:
        try:
            self._directory.add_roles_anywhere(record)
        except DirectoryError as error:
            raise invalid(error.message, rule=error.rule, hint=error.hint) from None
        added: R = self._table(type(record))[record.arn]
        return added

    def _replace(self, record: R, now: datetime) -> R:
        new = replace(record, updated=now)
        self._directory.replace_roles_anywhere(new)
        return new

    def _get(self, kind: type[R], arn: str) -> R:
        record: R | None = self._table(kind).get(arn)
        if record is None:
            raise absent(f"there is no {_TYPES[kind][1]} `{shorten(str(arn))}`", rule="6.1")
        return record

    def _table(self, kind: type) -> Mapping[str, Any]:
        table: Mapping[str, Any] = getattr(self._directory.tables, _TYPES[kind][2])
        return table

    def _new_arn(self, account: str, region: str, type_: str, *, partition: str | None = None) -> str:
        if not is_account(account) or not _REGION.fullmatch(region):
            raise invalid(f"`{shorten(account)}` and `{shorten(region)}` are not an account and a region", rule="6.1")
        known = self._directory.tables.accounts.get(account)
        partition = partition or (known.partition if known else "aws")
        return f"arn:{partition}:rolesanywhere:{region}:{account}:{type_}/{uuid4()}"


_TYPES: dict[type, tuple[str, str, str]] = {  # in names of calls, in messages, table
    TrustAnchor: ("TrustAnchor", "trust anchor", "trust_anchors"),
    RolesAnywhereProfile: ("Profile", "profile", "roles_anywhere_profiles"),
    RevocationList: ("Crl", "revocation list", "revocation_lists"),
}


# -- values -----------------------------------------------------------------------------------------------------------------


def _refuse_members(**given: object) -> None:
    """Members whose effect does not exist here: an operator would believe that they do something (RW16)."""
    for name, value in given.items():
        if value is not None:
            raise invalid(f"`{name}` is not supported", rule="RW16")


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise invalid(f"`{shorten(name)}` is not a name of 1 to 255 letters, digits, blanks, `-` and `_`", rule="6.1")
    return name


def _text(given: str | bytes) -> str:
    try:
        return given.decode("ascii") if isinstance(given, bytes) else given
    except UnicodeDecodeError:
        raise invalid("PEM text has ASCII characters only", rule="6.1") from None


def _pca(arn: str) -> str:
    if arn and not _PCA.fullmatch(arn):
        raise invalid(f"`{shorten(arn)}` is not the ARN of a private certificate authority", rule="RW10")
    return arn


def _bundle(given: str | bytes, now: datetime, acm_pca_arn: str) -> str:
    """The PEM text of a trust anchor, if each certificate may be one (RW10, RW11)."""
    text = _text(given)
    if not text:
        hint = "give the certificate of the private authority, too" if acm_pca_arn else ""
        raise invalid("a trust anchor needs certificates", rule="RW10", hint=hint)
    if len(text) > certificates.MAX_BUNDLE:
        raise invalid(f"a bundle has {certificates.MAX_BUNDLE:,} characters at most", rule="RW10")
    try:
        found = certificates.read_bundle(text)
    except Exception as error:
        raise invalid(f"the certificates cannot be read ({type(error).__name__})", rule="RW11", hint="write PEM text") from None
    if not 1 <= len(found) <= certificates.MAX_CERTIFICATES:
        raise invalid(f"a trust anchor has 1 to {certificates.MAX_CERTIFICATES} certificates", rule="RW10")
    for each in found:
        try:
            certificates.check_authority(each, now)
        except StsError as error:
            message = error.message.replace("untrusted signing certificate", "a certificate cannot be a trust anchor")
            raise invalid(message, rule="RW11") from None
    return text


def _settings(given: Iterable[NotificationSetting]) -> tuple[NotificationSetting, ...]:
    settings = tuple(given)
    for each in settings:
        is_threshold = each.threshold is None or 1 <= each.threshold <= 360
        if each.event not in _EVENTS or not is_threshold or each.channel not in (None, "ALL"):
            raise invalid("a notification setting has another event, threshold or channel than AWS knows", rule="RW10")
    return settings


def _roles(given: Iterable[str]) -> tuple[str, ...]:
    roles = tuple(dict.fromkeys((given,) if isinstance(given, str) else given))
    if len(roles) > MAX_ROLES:
        raise invalid(f"a profile has {MAX_ROLES} roles at most", rule="RW12")
    for role in roles:
        if not _ROLE.fullmatch(role):
            raise invalid(f"`{shorten(role)}` is not the ARN of a role", rule="RW12")
    return roles


def _managed(given: Iterable[str]) -> tuple[str, ...]:
    arns = tuple(dict.fromkeys((given,) if isinstance(given, str) else given))
    if len(arns) > MAX_MANAGED:
        raise invalid(f"a profile has {MAX_MANAGED} managed policies at most", rule="RW12")
    if len(arns) > MAX_ARNS:
        raise invalid(f"no session can use more than {MAX_ARNS} managed policies", rule="RW12")
    return arns


def _policy(given: str | Mapping[str, Any]) -> str:
    text = given if isinstance(given, str) else json.dumps(given, separators=(",", ":"))
    if len(text) > MAX_POLICY:
        raise invalid(f"a session policy has {MAX_POLICY:,} characters at most", rule="RW12")
    return text


def _duration(seconds: int) -> int:
    if isinstance(seconds, bool) or not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise invalid(f"a duration is {MIN_SECONDS} to {MAX_SECONDS} seconds", rule="RW12")
    return seconds


def _crl(given: str | bytes, anchor: TrustAnchor, now: datetime) -> crls.ReadCrl:
    text = _text(given)
    if not 1 <= len(text) <= crls.MAX_LENGTH:
        raise invalid(f"a revocation list has 1 to {crls.MAX_LENGTH:,} bytes", rule="RW13")
    try:
        read = crls.read_crl(text, anchor.certificates)
    except ValueError as error:
        raise invalid(f"the revocation list is not accepted: {error}", rule="RW13") from None
    except Exception as error:
        raise invalid(f"the revocation list cannot be read ({type(error).__name__})", rule="RW13") from None
    if read.this_update > now:
        raise invalid("the revocation list is of the future", rule="RW13")
    return read


def _known_crl(old: RevocationList, anchor: TrustAnchor) -> crls.ReadCrl | None:
    """The list that is there; None for one that cannot be read, such as one of an import."""
    try:
        return crls.read_crl(old.data, anchor.certificates)
    except Exception:
        return None


def _check_newer(new: crls.ReadCrl, old: crls.ReadCrl | None) -> None:
    if old is None:
        return
    is_older = new.this_update < old.this_update
    if old.number is not None and (new.number is None or new.number < old.number):
        is_older = True
    if is_older:
        raise invalid("the revocation list is older than the one that is there", rule="RW13")
