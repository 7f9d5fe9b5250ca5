"""Virtual MFA devices: time-based codes (RFC 6238, by pyotp), each taken once.

A code is taken in the step of the clock that it belongs to, and one step before and after. What was taken moves the device on,
so neither that code nor an earlier one is taken again. Wrong codes slow a device down (RFC 4226, 7.3).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyotp

from fastiam.credentials.errors import AuthenticationError, ValidationError
from fastiam.credentials.parameter_limits import DEVICE_NAME, DEVICE_PATH, check_form
from fastiam.credentials.secret import Secret, shown, takes_secrets
from fastiam.credentials.state import State, mfa_purpose
from fastiam.directory.credential_records import MfaDevice

STEP = 30  # seconds
DRIFT = 1  # steps that a clock may be off
MOST = 8  # devices of a principal (spec 1.7)
_ENABLING = 2  # the first of two codes may be this old, in steps, when the second one is there
_FREE_FAILURES, _MAX_BLOCK = 5, 3600


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
        ValidationError: the principal cannot have devices, the name is not valid or is taken, or too many devices.
        """
        state, seed = self._state, Secret(pyotp.random_base32())
        check_form(name, DEVICE_NAME)
        check_form(path, DEVICE_PATH)
        with state.directory.transaction():
            ref, unique_id = state.find_owner(principal)
            serial = f"arn:{ref.partition}:iam::{ref.account}:mfa{path}{name}"
            if serial in state.credential_store.tables.mfa_devices:
                raise ValidationError(f"there is an MFA device `{serial}` already", code="EntityAlreadyExists")
            if len(self.list(principal)) >= MOST:
                raise ValidationError(f"`{principal}` has {MOST} MFA devices already", rule="1.7", code="LimitExceeded")
            sealed = state.keyring.seal(mfa_purpose(serial), seed.encode())
            state.credential_store.put(
                "mfa_devices", serial, MfaDevice(serial, principal, sealed, state.now(), unique_id=unique_id)
            )
            state.record(principal, "MFA device created", serial)
        uri = pyotp.TOTP(seed).provisioning_uri(name=f"{ref.name or 'root'}@{ref.account}", issuer_name="fastiam")
        return NewMfaDevice(serial, seed, Secret(uri))

    def list(self, principal: str) -> list[MfaDevice]:
        """The devices of a user or root, those that are not enabled too."""
        return self._state.credential_store.of("mfa_devices", principal)

    def of_account(self, account: str) -> tuple[MfaDevice, ...]:
        """The devices of an account, those that are not enabled too."""
        devices = self._state.credential_store.tables.mfa_devices.values()
        return tuple(device for device in tuple(devices) if device.serial.split(":")[4] == account)

    @takes_secrets(codes=("first", "second"), identifiers=("serial",))
    def enable(self, serial: str, first: str, second: str) -> None:
        """Let a device vouch for its owner from now on, once it has shown two codes that follow one another.

        Raises
        ------
        ValidationError: no such device, or it is enabled.
        AuthenticationError: the codes are not two of this device in a row; reason `wrong_code`.
        """
        state = self._state
        with state.directory.transaction():
            device = self._get(serial)
            if device.enabled is not None:
                raise ValidationError(f"`{serial}` is enabled already", code="EntityAlreadyExists")
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
            raise AuthenticationError(
                "these are not two codes in a row of this device",
                reason="wrong_code",
                rule="7.6",
                hint="wait until the code changes, and give the old one and the new one",
                code="InvalidAuthenticationCode",
            )

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
        AuthenticationError: no such device of the principal, or a wrong or used code, which are not distinguished (`wrong_code`);
        or too many wrong ones before it (`throttled`).
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
        device = self._state.credential_store.tables.mfa_devices.get(serial)
        if device is None:
            raise ValidationError(f"MFA device not found: {shown(serial)}", code="NoSuchEntity")
        return device

    def _totp(self, device: MfaDevice) -> pyotp.TOTP:
        return pyotp.TOTP(self._state.keyring.open(mfa_purpose(device.serial), device.sealed).decode(), interval=STEP)

    def _step(self) -> int:
        return int(self._state.now().timestamp()) // STEP

    def _step_of(self, device: MfaDevice, code: str) -> int | None:
        """The step that a code belongs to, if it may be taken."""
        totp, now = self._totp(device), self._step()
        found = [step for step in range(now - DRIFT, now + DRIFT + 1) if _is_code(totp, step, code) and step > device.last_step]
        return found[0] if found else None


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
