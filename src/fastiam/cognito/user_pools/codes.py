"""Codes of six digits that prove an address or telephone number: made, kept as keyed hash, sent, and compared once."""

from __future__ import annotations

import hmac
import json
import os
import stat
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.cognito.user_pools.triggers import attributes_of, invalid_response, run_trigger
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Code, Pool, User
from fastiam.errors import SourceError

SIGN_UP, VERIFY, RECOVER, MFA = "sign-up", "verify", "recover", "mfa"
VALIDITY = {SIGN_UP: 86_400, VERIFY: 86_400, RECOVER: 3600}  # seconds; that of MFA codes is the client's
PLACEHOLDER, USER_PLACEHOLDER = "{####}", "{username}"
_OWN_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no link; a FIFO without reader does not block
MEDIUM = {"email": "EMAIL", "phone_number": "SMS"}


@dataclass(frozen=True, slots=True)
class CodeMessage:
    """A message with a code, for the `sender`.

    Attributes
    ----------
    source
        the occasion, as `CustomMessage` triggers name it: `SignUp`, `ForgotPassword`, `AdminCreateUser` and others.
    medium, destination
        `EMAIL` or `SMS`, and the address or telephone number.
    code
        the code, or the temporary password of an invitation.
    subject, text
        the message, with the code in it.
    """

    source: str
    medium: str
    destination: str
    code: Secret
    subject: str
    text: Secret
    user_pool_id: str
    username: str

    def to_json(self) -> str:
        """One line of JSON with all of it, the code in clear."""
        return json.dumps({name: str(getattr(self, name)) for name in self.__slots__})


class FileSender:
    """A sender that appends each message to a file as one line of JSON, for demonstrations. Only its owner can read the file.

    Raises
    ------
    SourceError
        the file is a link, not a regular file, of another owner, or others can read it; its folder does not exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if os.path.lexists(self.path):
            os.close(self._opened())
        elif not self.path.parent.is_dir():
            raise SourceError("its folder does not exist", source=str(self.path), path="")

    def __call__(self, message: CodeMessage) -> None:
        """Append a message."""
        with os.fdopen(self._opened(), "a", encoding="utf-8") as file:
            file.write(message.to_json() + "\n")

    def _opened(self) -> int:
        """A descriptor of the file, checked after it was opened: another file cannot take its place."""
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OWN_FILE, 0o600)
        except OSError as error:
            reason = "it is a link" if self.path.is_symlink() else error.strerror or str(error)
            raise SourceError(f"cannot be written: {reason.lower()}", source=str(self.path), path="") from None
        found, wrong, hint = os.fstat(descriptor), "", "name another file"
        if not stat.S_ISREG(found.st_mode):
            wrong = "it is not a regular file"
        elif os.name == "posix" and found.st_uid != os.geteuid():
            wrong = "it belongs to another user"
        elif os.name == "posix" and found.st_mode & 0o077:
            wrong, hint = "others can read the codes", f"chmod 600 {self.path}"
        if wrong:
            os.close(descriptor)
            raise SourceError(wrong, source=str(self.path), path="", hint=hint)
        return descriptor


def _key(user: User, purpose: str, attribute: str) -> str:
    """The key of the one code of a user for a purpose and attribute; a recovery has one code, whichever address it went to."""
    return f"{user.key}/{purpose}/{'password' if purpose == RECOVER else attribute}"


def mask(attribute: str, value: str) -> str:
    """The form in which answers show an address or telephone number (UP33)."""
    if attribute == "email":
        name, _, host = value.partition("@")
        return f"{name[:1]}***@{host[:1]}***"
    return f"+*******{value[-4:]}"


def delivery_details(attribute: str, value: str) -> Json:
    """`CodeDeliveryDetails` of an answer."""
    return {"Destination": mask(attribute, value), "DeliveryMedium": MEDIUM[attribute], "AttributeName": attribute}


class Codes:
    """Make, send and check codes."""

    def __init__(self, state: PoolState) -> None:
        self._state = state

    def make(self, pool: Pool, user: User, purpose: str, attribute: str, value: str = "", seconds: int | None = None) -> Secret:
        """A new code, which voids the one before it; inside a transaction.

        Parameters
        ----------
        value
            the destination if it is not the attribute of the user. The code proves this value alone.
        """
        code = Secret(f"{int.from_bytes(self._state.random(16)) % 1_000_000:06d}")
        until = self._state.now() + timedelta(seconds=VALIDITY[purpose] if seconds is None else seconds)
        record = Code(self._hash(pool, user, purpose, attribute, value, code), until)
        self._state.put("codes", _key(user, purpose, attribute), record)
        return code

    def _hash(self, pool: Pool, user: User, purpose: str, attribute: str, value: str, code: str) -> bytes:
        value = value or user.attributes.get(attribute, "")
        return self._state.keyed_hash(pool, "code", purpose, user.sub, attribute, value, code)

    def use(self, pool: Pool, user: User, purpose: str, attribute: str, code: str, value: str = "") -> None:
        """Check a code and use it up, inside a transaction. `value` is as in `make`.

        Raises
        ------
        CognitoError
            CodeMismatchException, or ExpiredCodeException: it is over, voided, or there is none.
        """
        key = _key(user, purpose, attribute)
        stored = self._state.tables.codes.get(key)
        if stored is None or stored.until <= self._state.now():
            message = "Invalid code provided, please request a code again."
            raise CognitoError(message, code="ExpiredCodeException", rule="UP32")
        if not hmac.compare_digest(stored.hash, self._hash(pool, user, purpose, attribute, value, code)):
            message = "Invalid verification code provided, please try again."
            raise CognitoError(message, code="CodeMismatchException", rule="UP32")
        self._state.put("codes", key, None)

    def void(self, user: User, purpose: str, attribute: str) -> None:
        """Void a code of a user, inside a transaction."""
        self._state.put("codes", _key(user, purpose, attribute), None)

    def send(
        self, pool: Pool, user: User, source: str, attribute: str, code: Secret, *, client_id: str = "", value: str = ""
    ) -> Json:
        """Send a code, outside any transaction; the `CodeDeliveryDetails`.

        Parameters
        ----------
        source
            the occasion.
        value
            the destination if it is not the attribute of the user.

        Raises
        ------
        CognitoError
            CodeDeliveryFailureException: there is no sender, or it failed.
        """
        value, medium = value or user.attributes.get(attribute, ""), MEDIUM[attribute]
        subject, text = self._text(pool, source, medium)
        request = {
            "userAttributes": attributes_of(user),
            "codeParameter": PLACEHOLDER,
            "usernameParameter": USER_PLACEHOLDER if source == "AdminCreateUser" else None,
            "clientMetadata": {},
        }
        empty = {"smsMessage": None, "emailMessage": None, "emailSubject": None}
        custom = run_trigger(
            self._state,
            pool,
            "CustomMessage",
            source,
            username=user.username,
            request=request,
            response=empty,
            **({"client_id": client_id} if client_id else {}),
        )
        if custom is not None:
            text = _custom(custom, "smsMessage" if medium == "SMS" else "emailMessage", text)
            subject = _custom(custom, "emailSubject", subject)
            if PLACEHOLDER not in text:
                raise invalid_response("CustomMessage", f"the message must contain {PLACEHOLDER}")
        filled = Secret(text.replace(USER_PLACEHOLDER, user.username).replace(PLACEHOLDER, code))
        message = CodeMessage(source, medium, value, code, subject, filled, pool.id, user.username)
        sender = self._state.sender
        try:
            if sender is None:
                raise LookupError("no sender")
            sender(message)
        except Exception as error:  # a sender is the program's own code
            self._state.warn(f"a code was not delivered: {type(error).__name__}")
        else:
            return delivery_details(attribute, value)
        raise CognitoError("the code was not delivered", code="CodeDeliveryFailureException", rule="UP33")

    def _text(self, pool: Pool, source: str, medium: str) -> tuple[str, str]:
        """Subject and text, as the pool has them."""
        texts = pool.messages
        if source == "AdminCreateUser":
            default = f"Your username is {USER_PLACEHOLDER} and temporary password is {PLACEHOLDER}."
            name = "InviteSMSMessage" if medium == "SMS" else "InviteEmailMessage"
            return texts.get("InviteEmailSubject", "Your temporary password"), texts.get(name, default)
        if source == "Authentication":
            default, name = (
                f"Your authentication code is {PLACEHOLDER}.",
                "MfaSmsMessage" if medium == "SMS" else "MfaEmailMessage",
            )
            return texts.get("MfaEmailSubject", "Your authentication code"), texts.get(name, default)
        default, name = f"Your verification code is {PLACEHOLDER}.", "SmsMessage" if medium == "SMS" else "EmailMessage"
        return texts.get("EmailSubject", "Your verification code"), texts.get(name, default)


def _custom(response: Json, name: str, default: str) -> str:
    value = response.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise invalid_response("CustomMessage", f"`{name}` is not text")
    return value
