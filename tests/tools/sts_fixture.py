"""A small account for the tests of STS: a clock that changes only when a test sets it, cheap hashes, two roles, two users."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher

import fastiam
from fastiam.sts import STS, AccessDeniedError, Credentials, Keyring, ValidationError

A, B, M = "111111111111", "222222222222", "999999999999"
ANA, BO, ROOT = f"arn:aws:iam::{A}:user/eng/ana", f"arn:aws:iam::{A}:user/bo", f"arn:aws:iam::{A}:root"
DEP, CHAIN = f"arn:aws:iam::{A}:role/ops/Dep", f"arn:aws:iam::{A}:role/Chain"
START = datetime(2026, 1, 1, tzinfo=UTC)
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


class Clock:
    """The time of a test."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    """A policy of some statements."""
    return {"Version": "2012-10-17", "Statement": [dict(each) for each in statements]}


def trusting(*who: str, actions: object = "sts:AssumeRole", **condition: object) -> dict[str, Any]:
    """A trust policy that names some principals."""
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": list(who)}, "Action": actions}
    return document(statement | ({"Condition": condition} if condition else {}))


EVERYTHING = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


class World:
    """A directory with users `ana` and `bo` and roles `Dep` and `Chain`, and STS over it."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.directory = fastiam.Directory()
        add = self.directory.add_principal
        add(ANA, unique_id="AIDAANA", identity_policies=[document(ALL)], tags={"team": "blue"})
        add(BO, unique_id="AIDABO")
        add(DEP, unique_id="AROADEP", trust_policy=trusting(ANA, BO, actions=EVERYTHING), identity_policies=[document(ALL)])
        add(
            CHAIN, unique_id="AROACHAIN", trust_policy=trusting(DEP, CHAIN, actions=EVERYTHING), identity_policies=[document(ALL)]
        )
        self.keyring = Keyring.generate()
        self.sts = self.open(self.keyring, **options)

    def open(self, keyring: Keyring, **options: Any) -> STS:
        """STS over the same directory, as another process or after a rotation."""
        return STS(self.directory, keyring, clock=self.clock, hasher=CHEAP, **options)

    def phone(self, principal: str = ANA) -> Phone:
        """An enabled MFA device; the clock has moved on, so that its next code is fresh."""
        made = self.sts.mfa.create(principal, f"phone-{len(self.sts.mfa.list(principal))}")
        phone = Phone(made.serial, pyotp.TOTP(str(made.seed)), self.clock)
        first = phone.code()
        self.clock.tick(30)
        self.sts.mfa.enable(made.serial, first, phone.code())
        self.clock.tick(30)
        return phone

    def run1(self, **options: Any) -> Credentials:
        """Credentials of a session `run1` of the role `Dep`."""
        return self.sts.assume_role(ANA, DEP, "run1", **options).credentials


class Phone:
    """What a user reads off an MFA device."""

    def __init__(self, serial: str, totp: pyotp.TOTP, clock: Clock) -> None:
        self.serial, self._totp, self._clock = serial, totp, clock

    def code(self, steps: int = 0) -> str:
        """The code of now, or of some steps later."""
        return self._totp.at(self._clock() + timedelta(seconds=30 * steps))


def denied(call, *args, **kwargs) -> AccessDeniedError:
    """How a call is refused."""
    with pytest.raises(AccessDeniedError) as error:
        call(*args, **kwargs)
    return error.value


def invalid(call, *args, **kwargs) -> str:
    """The rule that makes a call wrong."""
    with pytest.raises(ValidationError) as error:
        call(*args, **kwargs)
    return error.value.rule or error.value.code


def no_mfa() -> dict[str, Any]:
    """Everything, but nothing where `aws:MultiFactorAuthPresent` says `false`."""
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}}}
    return document(ALL, deny)
