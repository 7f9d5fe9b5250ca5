"""Sessions that a request states by name (G162)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from fastiam.api.engine import Engine
from fastiam.errors import PolicyError, RequestValueError
from fastiam.model.session import Session
from fastiam.server.identity import ASSERT_SESSION, Identity
from fastiam.server.mapping import BUILT_IN, KnownRecords, MappingError, read_principal, read_text, stated_session
from fastiam.server.mapping.request_principals import SESSION_MEMBERS

_NAME = re.compile(r"[\w+=,@-]{1,64}", re.ASCII)  # without dots, so that it is never the name of a service
_KINDS: Final = BUILT_IN["session"]
PRINCIPAL: Final = "principal"


class StatedSession(NamedTuple):
    """A session that a request states."""

    session: Session
    keys: Mapping[str, Any]
    """Condition keys of its requests that change with time, such as the age of MFA."""


def read_sessions(raw: Any, identity: Identity, engine: Engine, now: datetime) -> dict[str, StatedSession]:
    """The sessions of a request by name.

    Parameters
    ----------
    raw
        an object: name -> `{"principal": ARN, ...}` with the members of a session.

    Raises
    ------
    MappingError
        `not_asserted`, the identity may state none; a form, name or value that is wrong.
    """
    at = "$.sessions"
    if ASSERT_SESSION not in identity.scopes:
        raise MappingError("not_asserted", f"stating sessions needs the scope `{ASSERT_SESSION}`", at)
    if type(raw) is not dict:
        raise MappingError("bad_type", "`sessions` is not an object", at)
    return {name: _read(name, members, engine, now) for name, members in raw.items()}


def _read(name: str, members: Any, engine: Engine, now: datetime) -> StatedSession:
    if not _NAME.fullmatch(name):
        raise MappingError("bad_value", "the name of a session has 1 to 64 letters, digits and `_+=,@-`", "$.sessions")
    at = f"$.sessions.{name}"
    if type(members) is not dict:
        raise MappingError("bad_type", "the session is not an object", at)
    other = [member for member in members if member != PRINCIPAL and member not in SESSION_MEMBERS]
    if other:
        raise MappingError("bad_value", f"a session has no `{other[0][:64]}`", at)
    ref = read_principal(read_text(members, PRINCIPAL, at), at=f"{at}.{PRINCIPAL}")
    if ref.kind not in _KINDS or not ref.session:
        raise MappingError("type_mismatch", "the principal is not an ARN of a session of a role", f"{at}.{PRINCIPAL}")
    session, keys = stated_session(ref, members, KnownRecords(engine).role_of(ref), now, at)
    try:
        engine.decide(session, "sts:GetCallerIdentity", "*", now=now)
    except (RequestValueError, PolicyError):
        # the message may have values of the directory, so only the place is named
        raise MappingError("bad_value", "the session cannot be used: a policy or tag of it is wrong", at) from None
    return StatedSession(session, keys)


def principal_of(text: str, sessions: Mapping[str, StatedSession], at: str = "$.principal") -> str | StatedSession:
    """The principal that a text names: a session of the request, or a principal of IAM (G4).

    Raises
    ------
    MappingError
        `unmapped_subject`.
    """
    found = sessions.get(text)
    return read_principal(text, at).text if found is None else found
