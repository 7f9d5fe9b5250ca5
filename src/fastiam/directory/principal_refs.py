"""Parse a principal string into kind, partition, account and names (spec N3), without reading the directory."""

from __future__ import annotations

import re
from typing import NamedTuple

from fastiam.errors import RequestValueError
from fastiam.model.arn import Arn, is_account, split_arn
from fastiam.model.profile import FEDERATION, PROVIDER_TYPES, PrincipalKind
from fastiam.model.request import blank_hint, exact_text, shorten

LINKED_PATH = "/aws-service-role/"  # the path of service-linked roles
# The DNS suffixes of the partitions (`outputs.dnsSuffix` in `partitions.json` of botocore 1.44.8): names of services end in one.
DNS_SUFFIXES = tuple("amazonaws.com amazonaws.com.cn amazonaws.eu c2s.ic.gov cloud.adc-e.uk csp.hci.ic.gov sc2s.sgov.gov".split())
_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_SHORT_FORM = re.compile(r"(?:user|role)/\S+")
_SERVICE = re.compile(rf"(?:{_LABEL}\.)+(?:{'|'.join(map(re.escape, DNS_SUFFIXES))})")
_PROVIDER = re.compile(rf"(?i:{_LABEL}(?:\.{_LABEL})+)(?::[0-9]{{1,5}})?(?:/[!-~]*)?")
_HINT = (
    "name a root, user, role, assumed-role session, federated user, SAML or OIDC provider by its ARN, a service by its name "
    "such as `ec2.amazonaws.com`, or an unsigned caller by `*`"
)


class PrincipalRef(NamedTuple):
    """A parsed principal string.

    Attributes
    ----------
    kind
        spec 3.1. A role session is ROLE: a session ARN does not contain the path of the role (N6).
    text
        the string itself.
    partition, account
        None if the form has none.
    path
        of users and roles, with both slashes; else "".
    name
        of the user, role, federated user or provider; the role's name for a session of it.
    session
        the session's name, "" for the role itself (N5).
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
    RequestValueError
        not text, or of no form of N3 as a whole. The hint names a near miss, such as a blank before the ARN.
    """
    if not isinstance(text, str):
        raise RequestValueError(f"a principal must be text or a Session, not `{type(text).__name__}`", column="principal")
    text = exact_text(text)
    if text == "*":
        return PrincipalRef(PrincipalKind.ANON, text)
    provider = FEDERATION.get(action.lower())
    if text.startswith("arn:"):
        found = _read_arn(text)
    elif provider is not None:
        found = PrincipalRef(provider, text, name=text) if _PROVIDER.fullmatch(text) else None
    else:
        found = PrincipalRef(PrincipalKind.SVC, text, name=text) if _SERVICE.fullmatch(text) else None
    if found is None:
        raise RequestValueError(f"`{shorten(text)}` is not a principal", column="principal", hint=_hint(text))
    return found


def is_principal(text: str, action: str = "") -> bool:
    """Whether a string is of a form of N3."""
    try:
        parse_principal(text, action)
    except RequestValueError:
        return False
    return True


def _hint(text: str) -> str:
    """What is wrong with a string that is almost a principal; else all forms."""
    bare = text.strip()
    what = "ARN" if bare.lower().startswith("arn:") else "name"
    blank = blank_hint(text, what)
    if blank:
        return blank
    if what == "ARN" and not text.startswith("arn:"):
        return "an ARN begins with `arn:` in lower case"
    if is_account(text):
        return f"write the ARN of the account's root, `arn:aws:iam::{text}:root`"
    if _SERVICE.fullmatch(text.lower()):
        return f"the name of a service is in lower case, `{text.lower()}`"
    if _SHORT_FORM.fullmatch(text):
        return f"write the ARN, `arn:aws:iam::ACCOUNT:{shorten(text)}`"
    if "://" in text:
        return "name an identity provider without `https://`"
    if _PROVIDER.fullmatch(text):
        return (
            "the name of a service ends in `.amazonaws.com` or the DNS suffix of another partition; "
            "an identity provider is a principal of AssumeRoleWithSAML and AssumeRoleWithWebIdentity alone"
        )
    return _HINT


def _read_arn(text: str) -> PrincipalRef | None:
    arn = split_arn(text)
    if arn is None or not arn.partition or arn.region or not is_account(arn.account):
        return None
    if text.endswith(" ") or not text.isprintable():
        return None
    return _read_iam(text, arn) or _read_sts(text, arn)


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
