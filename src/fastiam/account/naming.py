"""Names of IAM things and the rules they follow (spec 1.7): what a write refuses and an import only reports."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fastiam.account.subjects import Subject, read_subject
from fastiam.arn import is_account, split_arn
from fastiam.errors import DirectoryError, RequestValueError
from fastiam.keys import fold
from fastiam.profile import PrincipalKind
from fastiam.request import shorten

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
_PATH = re.compile(r"/|/[!-~]+/")
_LONGEST = {PrincipalKind.USER: 64, PrincipalKind.ROLE: 64, PrincipalKind.SLR: 64}
_LONGEST_GROUP, _LONGEST_PATH = 128, 512


def entity_subject(arn: object) -> Subject:
    """The subject of an ARN that a directory can hold a record of: root, user or role.

    Raises
    ------
    DirectoryError: any other text; the message says what to add in place of a session.
    """
    try:
        subject = read_subject(arn)
    except RequestValueError as error:
        raise DirectoryError(error.message, hint="add users and roles by their ARN") from None
    if subject.kind is PrincipalKind.FED or subject.session:
        raise DirectoryError(
            f"`{arn}` is a session, not a principal with policies",
            hint="add the user or role that issued it, and pass the session with the request",
        )
    if subject.kind not in (PrincipalKind.ROOT, PrincipalKind.USER, PrincipalKind.ROLE, PrincipalKind.SLR):
        raise DirectoryError(f"`{shorten(subject.text)}` is not a user or role", hint="add users and roles by their ARN")
    return subject


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


def name_errors(kind: PrincipalKind | None, path: str, name: str) -> list[str]:
    """What is wrong with a path and name; a kind of None is a group."""
    longest = _LONGEST[kind] if kind is not None else _LONGEST_GROUP
    errors = []
    if not _NAME.fullmatch(name) or len(name) > longest:
        errors.append(f"`{shorten(name)}` is no valid name: use 1 to {longest} of letters, digits and `_+=,.@-`")
    if not _PATH.fullmatch(path) or len(path) > _LONGEST_PATH:
        errors.append(f"`{shorten(path)}` is no valid path: it starts and ends with `/`, in 1 to {_LONGEST_PATH} characters")
    return errors


def check_account(account: object) -> str:
    """The account id.

    Raises
    ------
    DirectoryError: not 12 digits.
    """
    if not isinstance(account, str) or not is_account(account):
        raise DirectoryError(f"`{shorten(str(account))}` is not an account id", hint="write 12 digits, as text")
    return account


def read_tags(tags: Mapping[str, str], *, ignore_case: bool) -> dict[str, str]:
    """Tags as stored; with `ignore_case` a second spelling of a key replaces the first (users and roles, spec 1.3).

    Raises
    ------
    DirectoryError: a key or value that is no text.
    """
    read: dict[str, tuple[str, str]] = {}
    for key, value in tags.items():
        if not isinstance(key, str) or not isinstance(value, str) or not key:
            raise DirectoryError(f"the tag `{shorten(str(key))}` must have text as key and value")
        read[fold(key) if ignore_case else key] = (key, value)
    return dict(read.values())
