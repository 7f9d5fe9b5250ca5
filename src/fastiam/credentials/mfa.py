"""Virtual MFA devices: time-based codes (RFC 6238, by pyotp), each taken once.

A code is taken in the step of the clock that it belongs to, and one step before and after. What was taken moves the device on,
so neither that code nor an earlier one is taken again. Wrong codes slow a device down (RFC 4226, 7.3).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyotp

from fastiam.credentials.credential_records import MfaDevice
from fastiam.credentials.secret import Secret, shown, takes_secrets
from fastiam.credentials.sts_errors import AuthenticationError, ValidationError
from fastiam.credentials.sts_state import State, mfa_purpose
from fastiam.credentials.text_rules import TextRule, check_form
from fastiam.directory.naming_rules import read_tags, tag_errors

STEP = 30  # seconds
DRIFT = 1  # steps that a clock may be off
MOST = 8  # devices of a principal (spec 1.7)
_ENABLING = 2  # the first of two codes may be this old, in steps, when the second one is there
_RESYNC = 20  # steps that a clock may be off when a device is resynchronized
_FREE_FAILURES, _MAX_BLOCK = 5, 3600
_NAME = TextRule("name of an MFA device", re.compile("[A-Za-z0-9_+=,.@-]{1,128}"), "1 to 128 letters, digits and `_+=,.@-`")
_PATH = TextRule("path", re.compile("/|/[!-~]{1,510}/"), "1 to 512 characters that start and end with `/`")


@dataclass(frozen=True, slots=True)
class NewMfaDevice:
    """A device that was just made: its seed, to be shown once. `uri` is what the QR code of it says."""

    serial: str
    seed: Secret
    uri: Secret


class MfaDevices:
    """Create, enable, verify and remove virtual MFA devices."""

    def __init__(self, state: State) -> None:
        self._state = state

    def create(self, principal: str, name: str, *, path: str = "/") -> NewMfaDevice:
        """A new device of a user or root, not enabled yet. Its serial number is an ARN, `arn:aws:iam::111111111111:mfa/phone`.

        Raises
        ------
        ValidationError
            the principal cannot have devices, the name is not valid or is taken, or too many devices.
        """
        with self._state.directory.transaction():
            ref, unique_id = self._state.find_owner(principal)
            self._check_room(principal)
            serial = _serial(ref.partition or "aws", ref.account or "", name, path)
            seed = self._add(serial, principal, unique_id, {})
        uri = pyotp.TOTP(seed).provisioning_uri(name=f"{ref.name or 'root'}@{ref.account}", issuer_name="fastiam")
        return NewMfaDevice(serial, seed, Secret(uri))

    def create_unassigned(
        self, account: str, name: str, *, path: str = "/", tags: Mapping[str, str] = {}, partition: str = "aws"
    ) -> NewMfaDevice:
        """A new device of an account. `enable` assigns it to a user or root.

        Raises
        ------
        ValidationError
            the name is not valid or is taken.
        """
        serial = _serial(partition, account, name, path)
        seed = self._add(serial, "", None, self._read_tags(tags))
        uri = pyotp.TOTP(seed).provisioning_uri(name=f"{name}@{account}", issuer_name="fastiam")
        return NewMfaDevice(serial, seed, Secret(uri))

    def _add(self, serial: str, principal: str, unique_id: str | None, tags: Mapping[str, str]) -> Secret:
        """Store a new device. Returns its seed."""
        state, seed = self._state, Secret(pyotp.random_base32())
        with state.directory.transaction():
            if self.find(serial) is not None:
                raise ValidationError(f"there is an MFA device `{serial}` already", code="EntityAlreadyExists")
            sealed = state.keyring.seal(mfa_purpose(serial), seed.encode())
            device = MfaDevice(serial, principal, sealed, state.now(), unique_id=unique_id, tags=tags)
            state.credential_store.put("mfa_devices", serial, device)
            state.record(principal, "MFA device created", serial)
        return seed

    def _check_room(self, principal: str) -> None:
        if len(self.list(principal)) >= MOST:
            raise ValidationError(f"`{principal}` has {MOST} MFA devices already", rule="1.7", code="LimitExceeded")

    def list(self, principal: str) -> list[MfaDevice]:
        """The devices of a user or root, those that are not enabled too."""
        return self._state.credential_store.of("mfa_devices", principal)

    def of_account(self, account: str) -> tuple[MfaDevice, ...]:
        """The devices of an account, those that are not enabled too."""
        devices = self._state.credential_store.tables.mfa_devices.values()
        return tuple(device for device in tuple(devices) if device.serial.split(":")[4] == account)

    @takes_secrets(codes=("first", "second"), identifiers=("serial",))
    def enable(self, serial: str, first: str, second: str, *, principal: str | None = None) -> None:
        """Let a device vouch for its owner from now on, once it has shown two codes that follow one another.

        Parameters
        ----------
        principal
            the owner of a device that is assigned to none.

        Raises
        ------
        ValidationError
            no such device, it is enabled, or it is of another owner; the owner has too many devices.
        AuthenticationError
            the codes are not two of this device in a row; reason `wrong_code`.
        """
        state = self._state
        with state.directory.transaction():
            device = self._get(serial)
            if device.enabled is not None:
                raise ValidationError(f"`{serial}` is enabled already", code="EntityAlreadyExists")
            device = self._assigned(device, principal)
            totp, step = self._totp(device), self._step()
            found = [
                at
                for at in range(step - _ENABLING, step + DRIFT)
                if _is_code(totp, at, first) & _is_code(totp, at + 1, second) and at > device.last_step
            ]
            if found:
                state.credential_store.put("mfa_devices", serial, replace(device, enabled=state.now(), last_step=found[-1] + 1))
                state.record(device.principal, "MFA device enabled", serial)
        if not found:
            raise _not_two_codes()

    def _assigned(self, device: MfaDevice, principal: str | None) -> MfaDevice:
        """The device with its owner."""
        if principal is None and device.principal:
            return device
        owner, unique_id = principal or "", None
        if device.principal not in ("", owner) or not owner:
            raise ValidationError(f"MFA device not found: {shown(device.serial)}", code="NoSuchEntity")
        _, unique_id = self._state.find_owner(owner)
        if owner.split(":")[4] != device.serial.split(":")[4]:
            raise ValidationError(f"MFA device not found: {shown(device.serial)}", code="NoSuchEntity")
        if not device.principal:
            self._check_room(owner)
        return replace(device, principal=owner, unique_id=unique_id)

    @takes_secrets(identifiers=("serial",))
    def deactivate(self, serial: str) -> None:
        """Take a device away from its owner. It can be enabled again, for any user of the account."""
        with self._state.directory.transaction():
            device = self._get(serial)
            freed = replace(device, principal="", unique_id=None, enabled=None, failures=0, blocked_until=None)
            self._state.credential_store.put("mfa_devices", serial, freed)
            self._state.record(device.principal, "MFA device deactivated", serial)

    @takes_secrets(codes=("first", "second"), identifiers=("serial",))
    def resync(self, serial: str, first: str, second: str) -> None:
        """Follow the clock of an enabled device again, by two codes that follow one another, at most 20 steps away.

        Raises
        ------
        ValidationError
            no such device, or it is not enabled.
        AuthenticationError
            the codes are not two of this device in a row; reason `wrong_code`.
        """
        state = self._state
        with state.directory.transaction():
            device = self._get(serial)
            if device.enabled is None:
                raise ValidationError(f"`{serial}` is not enabled", code="NoSuchEntity")
            totp, step = self._totp(device), self._step()
            found = [
                at
                for at in range(step - _RESYNC, step + _RESYNC)
                if _is_code(totp, at, first) & _is_code(totp, at + 1, second) and at > device.last_step
            ]
            if found:
                last = found[-1] + 1
                new = replace(device, last_step=last, drift=last - step, failures=0, blocked_until=None)
                state.credential_store.put("mfa_devices", serial, new)
                state.record(device.principal, "MFA device resynchronized", serial)
        if not found:
            raise _not_two_codes()

    @takes_secrets(identifiers=("serial",))
    def find(self, serial: str) -> MfaDevice | None:
        """One device, or None if there is none with this serial number."""
        return self._state.credential_store.tables.mfa_devices.get(serial)

    @takes_secrets(identifiers=("serial",))
    def set_tags(self, serial: str, tags: Mapping[str, str]) -> None:
        """Replace the tags of a device.

        Raises
        ------
        ValidationError
            no such device, or a tag is not valid.
        """
        with self._state.directory.transaction():
            new = replace(self._get(serial), tags=self._read_tags(tags))
            self._state.credential_store.put("mfa_devices", serial, new)

    def _read_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        read = read_tags(tags, ignore_case=True)
        for error in tag_errors(read, self._state.directory.quotas):
            raise ValidationError(error, rule="1.7", code="InvalidInput")
        return read

    @takes_secrets(identifiers=("serial",))
    def delete(self, serial: str) -> None:
        """Take a device away."""
        with self._state.directory.transaction():
            device = self._get(serial)
            self._state.credential_store.put("mfa_devices", serial, None)
            self._state.record(device.principal, "MFA device deleted", serial)

    @takes_secrets(codes=("code",), identifiers=("principal", "serial"))
    def verify(self, principal: str, serial: str, code: str) -> None:
        """That a code was shown now, by an enabled device of the principal; it is used up with this.

        Raises
        ------
        AuthenticationError
            no such device of the principal, or a wrong or used code, which are not distinguished (`wrong_code`); or too many
            wrong ones before it (`throttled`).
        """
        state, now = self._state, self._state.now()
        with state.directory.transaction():
            device = state.credential_store.tables.mfa_devices.get(serial)
            is_owner = device is not None and device.principal == principal and device.enabled is not None
            if not is_owner or device is None:
                step, blocked = None, False
            else:
                blocked = device.blocked_until is not None and now < device.blocked_until
                step = None if blocked else self._step_of(device, code)
                if not blocked:
                    state.credential_store.put("mfa_devices", serial, _tried(device, step, now))
        if blocked:
            raise AuthenticationError("too many wrong MFA codes, try again later", reason="throttled", rule="7.6")
        if step is None:
            raise AuthenticationError("the MFA code is wrong, or used already", reason="wrong_code", rule="7.6")

    def _get(self, serial: str) -> MfaDevice:
        device = self.find(serial)
        if device is None:
            raise ValidationError(f"MFA device not found: {shown(serial)}", code="NoSuchEntity")
        return device

    def _totp(self, device: MfaDevice) -> pyotp.TOTP:
        return pyotp.TOTP(self._state.keyring.open(mfa_purpose(device.serial), device.sealed).decode(), interval=STEP)

    def _step(self) -> int:
        return int(self._state.now().timestamp()) // STEP

    def _step_of(self, device: MfaDevice, code: str) -> int | None:
        """The step that a code belongs to, if it may be taken."""
        totp, now = self._totp(device), self._step() + device.drift
        found = [step for step in range(now - DRIFT, now + DRIFT + 1) if _is_code(totp, step, code) and step > device.last_step]
        return found[0] if found else None


def _serial(partition: str, account: str, name: str, path: str) -> str:
    """The serial number of a device, an ARN."""
    check_form(name, _NAME)
    check_form(path, _PATH)
    return f"arn:{partition}:iam::{account}:mfa{path}{name}"


def _not_two_codes() -> AuthenticationError:
    return AuthenticationError(
        "these are not two codes in a row of this device",
        reason="wrong_code",
        rule="7.6",
        hint="wait until the code changes, and give the old one and the new one",
        code="InvalidAuthenticationCode",
    )


def _is_code(totp: pyotp.TOTP, step: int, code: str) -> bool:
    return hmac.compare_digest(totp.generate_otp(step).encode(), str(code).encode("utf-8", "surrogatepass"))


def _tried(device: MfaDevice, step: int | None, now: datetime) -> MfaDevice:
    """The device after an attempt."""
    if step is not None:
        return replace(device, last_step=step, failures=0, blocked_until=None)
    failures = device.failures + 1
    if failures < _FREE_FAILURES:
        return replace(device, failures=failures)
    seconds = min(STEP << (failures - _FREE_FAILURES), _MAX_BLOCK)
    return replace(device, failures=failures, blocked_until=now + timedelta(seconds=seconds))
