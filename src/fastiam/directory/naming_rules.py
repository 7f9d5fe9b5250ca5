"""Names of IAM resources and their rules (spec 1.7). A strict write refuses what breaks them, a lenient one reports it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from fastiam.directory.principal_refs import PrincipalRef, parse_principal
from fastiam.directory.quotas import Quotas
from fastiam.errors import DirectoryError, RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.key_registry import fold
from fastiam.model.profile import ENTITIES, PrincipalKind
from fastiam.model.request import exact_text, shorten

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
_NAME_OF = {"saml-provider": re.compile(r"[A-Za-z0-9._-]+")}
_PATH = re.compile(r"/|/[!-~]+/")
_TAG = re.compile(r"[\w\s.:/=+@-]*")
_VERSION = re.compile(r"v[1-9][0-9]{0,17}")


def entity_ref(arn: object) -> PrincipalRef:
    """Parse the ARN of a principal that can have a record: root, user or role.

    Raises
    ------
    DirectoryError
        any other text; the message says what to add instead of a session.
    """
    try:
        ref = parse_principal(arn)
    except RequestValueError as error:
        raise DirectoryError(error.message, hint="add users and roles by their ARN") from None
    if ref.kind is PrincipalKind.FED or ref.session:
        raise DirectoryError(
            f"`{arn}` is a session, not a principal with policies",
            hint="add the user or role that issued it, and pass the session with the request",
        )
    if ref.kind not in (PrincipalKind.ROOT, *ENTITIES):
        raise DirectoryError(f"`{shorten(ref.text)}` is not a user or role", hint="add users and roles by their ARN")
    return ref


def group_parts(group: str, account: str | None, partition: str) -> tuple[str, str, str, str]:
    """Partition, account, path and name of a group that is given by ARN, or by name and account."""
    arn = split_arn(group)
    if arn is None:
        if account is None:
            raise DirectoryError(f"`{shorten(group)}` names no account", hint="pass the group's ARN, or `account`")
        return partition, account, "/", group
    type_, _, rest = arn.rest.partition("/")
    path, _, name = ("/" + rest).rpartition("/")
    if arn.service != "iam" or arn.region or type_ != "group" or not name or not is_account(arn.account):
        raise DirectoryError(f"`{shorten(group)}` is not a group", hint="write `arn:aws:iam::111111111111:group/Name`")
    return arn.partition, arn.account, path + "/", name


class IamName(NamedTuple):
    """The parsed ARN of an IAM resource. `type` is the first word of its last field; `path` has both slashes."""

    partition: str
    account: str
    type: str
    path: str
    name: str


def iam_name(arn: object, type_: str) -> IamName:
    """Parse the ARN of a policy, instance profile or provider. The name of a provider is all that follows the type.

    Raises
    ------
    DirectoryError
        any other text.
    """
    parts = split_arn(arn) if isinstance(arn, str) else None
    what, _, rest = parts.rest.partition("/") if parts is not None else ("", "", "")
    path, _, name = ("/" + rest).rpartition("/")
    if type_ == "oidc-provider":
        name = rest  # a URL may end in `/` (WI20)
    if parts is None or parts.service != "iam" or parts.region or what != type_ or not name:
        words = "managed policy" if type_ == "policy" else type_.replace("-", " ")
        example = "idp.example.com" if type_ == "oidc-provider" else "Name"
        raise DirectoryError(
            f"`{shorten(str(arn))}` is not a{'n' * (words[0] in 'io')} {words}",
            hint=f"write `arn:aws:iam::111111111111:{type_}/{example}`",
        )
    if type_.endswith("-provider"):
        return IamName(parts.partition, check_account(parts.account), type_, "/", rest)
    if type_ != "policy":
        check_account(parts.account)
    return IamName(parts.partition, parts.account, type_, path + "/", name)


@lru_cache(maxsize=8192)
def policy_account(arn: str) -> str:
    """The account of a managed policy. PERF: cached, since many principals have the same few policies.

    Raises
    ------
    DirectoryError
        as `iam_name`.
    """
    return iam_name(arn, "policy").account


def hint_of_missing_policy(arn: str) -> str:
    """A hint how to add the document of a managed policy. Those of AWS that the package has need none."""
    if ":iam::aws:policy/" in arn:
        return "check the name; or load a file that has it, or put it into the store: `fastiam import FILE` (docs/sources.md)"
    return "add it with `add_managed_policy`, or load the file that has it"


def name_errors(type_: str, path: str, name: str, quotas: Quotas) -> list[str]:
    """The errors in the path and name of an IAM resource."""
    longest: int | None = getattr(quotas, f"{type_.replace('-', '_')}_name_length")
    errors = []
    if not _NAME_OF.get(type_, _NAME).fullmatch(name) or _is_over(len(name), longest):
        letters = "._-" if type_ in _NAME_OF else "_+=,.@-"
        errors.append(f"`{shorten(name)}` is not a valid name: use {_up_to(longest)} letters, digits and `{letters}`")
    if not _PATH.fullmatch(path) or _is_over(len(path), quotas.path_length):
        of = _up_to(quotas.path_length)
        errors.append(f"`{shorten(path)}` is not a valid path: it starts and ends with `/`, of {of} characters without space")
    return errors


def tag_errors(tags: Mapping[str, str], quotas: Quotas) -> Iterator[str]:
    """The errors in the tags of an IAM resource."""
    if _is_over(len(tags), quotas.tags_per_resource):
        yield f"{len(tags)} tags, of {quotas.tags_per_resource} at most (quota `tags_per_resource`)"
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            yield f"the tag key `{shorten(key)}` starts with `aws:`, which is reserved"
        if _is_over(len(key), quotas.tag_key_length):
            yield f"the tag key `{shorten(key)}` has {len(key)} characters (quota `tag_key_length`: {quotas.tag_key_length})"
        if _is_over(len(value), quotas.tag_value_length):
            most = quotas.tag_value_length
            yield f"the value of tag `{shorten(key)}` has {len(value)} characters (quota `tag_value_length`: {most})"
        if not (_TAG.fullmatch(key) and _TAG.fullmatch(value)):
            yield f"the tag `{shorten(key)}` has other characters than letters, digits, spaces and `_.:/=+-@`"


def _is_over(n: int, most: int | None) -> bool:
    return most is not None and n > most


def _up_to(most: int | None) -> str:
    return "one or more" if most is None else f"1 to {most}"


def is_version(text: str) -> bool:
    """Whether the text is the id of a policy version, `v1`."""
    return _VERSION.fullmatch(text) is not None


def check_account(account: object) -> str:
    """The account id.

    Raises
    ------
    DirectoryError
        not 12 digits.
    """
    if not isinstance(account, str) or not is_account(account):
        raise DirectoryError(f"`{shorten(str(account))}` is not an account id", hint="write 12 digits, as text")
    return account


def read_tags(tags: Mapping[str, str], *, ignore_case: bool) -> dict[str, str]:
    """Tags as stored; with `ignore_case` a second spelling of a key replaces the first (users and roles, spec 1.3).

    Raises
    ------
    DirectoryError
        a key or value is not text.
    """
    if not isinstance(tags, Mapping):
        raise DirectoryError(f"tags are a mapping of text to text, not `{type(tags).__name__}`")
    read: dict[str, tuple[str, str]] = {}
    for key, value in tags.items():
        if not isinstance(key, str) or not isinstance(value, str) or not key:
            raise DirectoryError(f"the tag `{shorten(str(key))}` must have text as key and value")
        read[fold(key) if ignore_case else key] = (exact_text(key), exact_text(value))
    return dict(read.values())
