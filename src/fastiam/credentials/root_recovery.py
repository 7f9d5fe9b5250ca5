"""Recovery of a root user's lost second factor: the first factor, and proofs of the e-mail address and telephone of the account.

The program that sends mails and calls telephones passes the proofs as data. Each attempt is recorded, also a refused one.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from fastiam.credentials.credential_records import Event, RootContact
from fastiam.credentials.mfa import MfaDevices
from fastiam.credentials.passwords import Passwords
from fastiam.credentials.secret import Secret, takes_secrets
from fastiam.credentials.sts_errors import AuthenticationError, StsError, ValidationError
from fastiam.credentials.sts_state import State
from fastiam.directory.naming_rules import check_account

FRESH = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof that the owner of an address has answered.

    Attributes
    ----------
    kind, address
        an e-mail address or a telephone number, as it was reached.
    proved_at
        when the answer came; a proof counts for 15 minutes.
    reference
        the id of this proof at its issuer; a reference counts once.
    """

    kind: Literal["email", "phone"]
    address: str
    proved_at: datetime
    reference: str


class Recovery:
    """The way back in for a root user without the MFA device."""

    def __init__(self, state: State, passwords: Passwords, mfa: MfaDevices) -> None:
        self._state, self._passwords, self._mfa = state, passwords, mfa

    def set_contact(self, account: str, *, email: str, phone: str) -> None:
        """The e-mail address and telephone number of an account, in place of those before."""
        with self._state.directory.transaction():
            self._state.credential_store.put("contacts", check_account(account), RootContact(account, email, phone))
            self._state.record(self._root(account), "contact set")

    def contact(self, account: str) -> RootContact | None:
        """The registered contact."""
        return self._state.credential_store.tables.contacts.get(account)

    def events(self, principal: str | None = None) -> list[Event]:
        """What was done to credentials, or tried, in order: of one principal, or of all."""
        events = self._state.credential_store.tables.events.values()
        return sorted((e for e in events if principal in (None, e.principal)), key=lambda e: e.number)

    @takes_secrets("password", identifiers=("account",))
    def recover_root(self, account: str, *, password: str, email: Proof, phone: Proof, by: str = "") -> list[str]:
        """Take away all MFA devices of a root user who proves everything else; their serial numbers.

        Parameters
        ----------
        password
            the first factor; only the second one is lost.
        by
            the person who requested the recovery, for the audit event.

        Raises
        ------
        ValidationError
            the account has no registered contact, or its root user no MFA device.
        AuthenticationError
            the password is wrong, or a proof is not of the registered contact, not fresh, or used before.
        """
        if isinstance(account, Secret):
            raise ValidationError("an account id has 12 digits")
        root = self._root(account)
        try:
            self._passwords.verify(root, password)
            contact = self.contact(account)
            if contact is None:
                raise ValidationError(f"account `{account}` has no registered contact", code="NoSuchEntity")
            with self._state.directory.transaction():
                for proof, kind, address in ((email, "email", contact.email), (phone, "phone", contact.phone)):
                    self._take(root, proof, kind, address)
                devices = self._mfa.list(root)
                if not devices:
                    raise ValidationError(f"`{root}` has no MFA device", code="NoSuchEntity")
                for device in devices:
                    self._mfa.delete(device.serial)
                detail = f"by the proofs {email.reference} and {phone.reference}"
                self._state.record(root, "second factor recovered", detail, by=by)
        except StsError as error:
            with self._state.directory.transaction():
                self._state.record(root, "recovery refused", error.message, by=by)
            raise
        return [device.serial for device in devices]

    def _take(self, root: str, proof: Proof, kind: str, address: str) -> None:
        now, is_same = self._state.now(), hmac.compare_digest(_encoded(proof.address), _encoded(address))
        if proof.proved_at.tzinfo is None:
            raise ValidationError(f"the time of the proof of the {kind} needs a time zone")
        if proof.kind != kind or not is_same:
            raise AuthenticationError(f"the {kind} that was proved is not the registered one", reason="wrong_proof")
        if not now - FRESH <= proof.proved_at <= now:
            raise AuthenticationError(f"the proof of the {kind} is not of the last 15 minutes", reason="wrong_proof")
        if proof.reference in self._state.credential_store.tables.proofs:
            raise AuthenticationError(f"the proof of the {kind} was used before", reason="wrong_proof")
        self._state.credential_store.put("proofs", proof.reference, self._state.record(root, f"{kind} proved", proof.reference))

    def _root(self, account: str) -> str:
        record = self._state.tables.accounts.get(check_account(account))
        if record is None:
            raise ValidationError(f"there is no account `{account}`", code="NoSuchEntity")
        return f"arn:{record.partition}:iam::{account}:root"


def _encoded(address: str) -> bytes:
    return address.encode("utf-8", "surrogatepass")
