"""Parse a principal string into kind, partition, account and names (spec N3), without reading the directory."""

from __future__ import annotations

from typing import NamedTuple

from fastiam.errors import RequestValueError
from fastiam.model.arn import Arn, is_account, split_arn
from fastiam.model.profile import PROVIDER_TYPES, PrincipalKind
from fastiam.model.request import exact_text, shorten

LINKED_PATH = "/aws-service-role/"  # the path of service-linked roles
PROVIDER_CALLS = {"sts:AssumeRoleWithSAML": PrincipalKind.SAML, "sts:AssumeRoleWithWebIdentity": PrincipalKind.OIDC}
# For these actions a name that is not an ARN is that of a federated provider (N3).
FEDERATION = {call.lower(): kind for call, kind in PROVIDER_CALLS.items()}
_HINT = (
    "name a root, user, role, assumed-role session, federated user, SAML or OIDC provider by its ARN, a service by its name, "
    "or an unsigned caller by `*`"
)


class PrincipalRef(NamedTuple):
    """A parsed principal string.

    Attributes
    ----------
    kind : spec 3.1. A role session is ROLE: a session ARN does not contain the path of the role (N6).
    text : the string itself.
    partition, account : None if the form has none.
    path : of users and roles, with both slashes; else "".
    name : of the user, role, federated user or provider; the role's name for a session of it.
    session : the session's name, "" for the role itself (N5).
    """

    kind: PrincipalKind
    text: str
    partition: str | None = None
    account: str | None = None
    path: str = ""
    name: str = ""
    session: str = ""


def parse_principal(text: object, action: str = "") -> PrincipalRef:
    """Parse a principal string; `action` distinguishes the name of a federated provider from that of a service (N3).

    Raises
    ------
    RequestValueError: not text, empty, or another ARN.
    """
    if not isinstance(text, str):
        raise RequestValueError(f"a principal must be text or a Session, not `{type(text).__name__}`", column="principal")
    text = exact_text(text)
    if text == "*":
        return PrincipalRef(PrincipalKind.ANON, text)
    if text.startswith("arn:"):
        return _read_arn(text)
    if not text or not text.isprintable():
        raise RequestValueError(f"`{shorten(text)}` is not a principal", column="principal", hint=_HINT)
    return PrincipalRef(FEDERATION.get(action.lower(), PrincipalKind.SVC), text, name=text)


def _read_arn(text: str) -> PrincipalRef:
    arn = split_arn(text)
    found = _read_iam(text, arn) or _read_sts(text, arn) if arn and arn.partition and not arn.region else None
    if found is None or not is_account(found.account or "") or not text.isprintable():
        raise RequestValueError(f"`{shorten(text)}` is not a principal", column="principal", hint=_HINT)
    return found


def _read_iam(text: str, arn: Arn) -> PrincipalRef | None:
    if arn.service != "iam":
        return None
    if arn.rest == "root":
        return PrincipalRef(PrincipalKind.ROOT, text, arn.partition, arn.account)
    type_, slash, rest = arn.rest.partition("/")
    path, _, name = ("/" + rest).rpartition("/")
    if type_ == "oidc-provider":
        name = rest  # a URL may end in `/`
    if not (slash and name):
        return None
    if type_ in ("user", "role"):
        path += "/"
        kind = PrincipalKind.USER if type_ == "user" else role_kind(path)
        return PrincipalRef(kind, text, arn.partition, arn.account, path, name)
    return PrincipalRef(PROVIDER_TYPES[type_], text, arn.partition, arn.account, name=rest) if type_ in PROVIDER_TYPES else None


def _read_sts(text: str, arn: Arn) -> PrincipalRef | None:
    if arn.service != "sts":
        return None
    type_, _, rest = arn.rest.partition("/")
    role, slash, session = rest.partition("/")
    if type_ == "assumed-role" and role and session and "/" not in session:
        return PrincipalRef(PrincipalKind.ROLE, text, arn.partition, arn.account, name=role, session=session)
    if type_ == "federated-user" and role and not slash:
        return PrincipalRef(PrincipalKind.FED, text, arn.partition, arn.account, name=role)
    return None


def role_kind(path: str) -> PrincipalKind:
    """SLR for the path of service-linked roles, else ROLE (spec 3.1)."""
    return PrincipalKind.SLR if path.startswith(LINKED_PATH) else PrincipalKind.ROLE


def role_arn(ref: PrincipalRef) -> str:
    """The ARN of a session's role, if its path is unknown (N6)."""
    return f"arn:{ref.partition}:iam::{ref.account}:role/{ref.name}"
