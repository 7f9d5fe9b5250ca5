"""What a call of STS may ask for: durations (table 7.1, S1), names, tags and session policies (1.7), as data with its checks."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastiam.credentials.sts_errors import ValidationError
from fastiam.credentials.text_rules import TextRule
from fastiam.directory.aws_policies import aws_policy
from fastiam.directory.stored_policies import is_managed_arn
from fastiam.model.arn import split_arn
from fastiam.model.key_registry import fold
from fastiam.model.policy import PolicyKind
from fastiam.model.request import shorten
from fastiam.policy.document import read_policy

HOUR = 3600


@dataclass(frozen=True, slots=True)
class DurationRange:
    """Seconds that a session may last. `cut` takes a longer wish as the longest (GetSessionToken of a root user)."""

    low: int
    high: int
    default: int
    cut: bool = False


ROLE = DurationRange(900, 12 * HOUR, HOUR)  # and not beyond the maximum of the role
CHAINED = DurationRange(900, HOUR, HOUR)  # S2
TOKEN = DurationRange(900, 36 * HOUR, 12 * HOUR)
ROOT_TOKEN = DurationRange(900, HOUR, HOUR, cut=True)
ASSUME_ROOT = DurationRange(0, 900, 900)
INSTANCE = DurationRange(900, 12 * HOUR, 6 * HOUR)  # S3: the maximum of the role does not limit what a service assumes


def read_duration(seconds: int | None, allowed: DurationRange) -> int:
    """How long a session lasts.

    Raises
    ------
    ValidationError
        out of range (S1).
    """
    if seconds is None:
        return allowed.default
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise ValidationError(f"`{seconds}` is not a duration", rule="7.1", hint="write whole seconds")
    if seconds > allowed.high and allowed.cut:
        return allowed.high
    if not allowed.low <= seconds <= allowed.high:
        raise ValidationError(f"a duration of {seconds} seconds is not in {allowed.low} to {allowed.high}", rule="S1")
    return seconds


# -- names --------------------------------------------------------------------------------------------------------------

_PLAIN, _EXTERNAL = "[A-Za-z0-9_+=,.@-]", "[A-Za-z0-9_+=,.@:/-]"

SESSION_NAME = TextRule("role session name", re.compile(_PLAIN + "{2,64}"), "2 to 64 letters, digits and `_+=,.@-`")
FEDERATION_NAME = TextRule("federation name", re.compile(_PLAIN + "{2,32}"), "2 to 32 letters, digits and `_+=,.@-`")
EXTERNAL_ID = TextRule("external id", re.compile(_EXTERNAL + "{2,1224}"), "2 to 1,224 letters, digits and `_+=,.@:/-`")
SOURCE_IDENTITY = TextRule(
    "source identity",
    re.compile("(?!aws:)" + _PLAIN + "{2,256}", re.IGNORECASE),
    "2 to 256 letters, digits and `_+=,.@-`",
)


# -- session tags (7.5) ---------------------------------------------------------------------------------------------------

MAX_TAGS, _MAX_KEY, _MAX_VALUE = 50, 128, 256


def read_session_tags(
    tags: Mapping[str, str], transitive: Collection[str], inherited: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The tags of the new session, inherited ones among them, and the keys of those that are transitive.

    Raises
    ------
    ValidationError
        a tag that is none, too many (S28), a key that is inherited already (S23), or a transitive key that is not among the tags
        (S24).
    """
    if isinstance(transitive, str):
        raise ValidationError("transitive tag keys are a list", rule="S24")
    seen = {fold(key) for key in inherited}
    for key, value in tags.items():
        _check_tag(key, value)
        if fold(key) in seen:
            known = any(fold(other) == fold(key) for other in inherited)
            why = "is inherited and cannot be passed" if known else "is passed twice"
            raise ValidationError(f"the session tag `{key}` {why}", rule="S23" if known else "S22", code="InvalidParameterValue")
        seen.add(fold(key))
    if len(seen) > MAX_TAGS:
        raise ValidationError(f"a session has at most {MAX_TAGS} tags, not {len(seen)}", rule="S28")
    passed = {fold(key): key for key in tags}
    missing = [key for key in transitive if fold(key) not in passed]
    if missing:
        message = f"the transitive tag `{shorten(str(missing[0]))}` is not among the tags passed"
        raise ValidationError(message, rule="S24", code="InvalidParameterValue")
    keys = dict.fromkeys((*inherited, *(passed[fold(key)] for key in transitive)))
    return {**inherited, **tags}, tuple(keys)


def _check_tag(key: object, value: object) -> None:
    if not isinstance(key, str) or not isinstance(value, str):
        raise ValidationError(f"the tag `{shorten(str(key))}` must have text as key and value", rule="1.7")
    if not 1 <= len(key) <= _MAX_KEY or not all(map(_is_tag_character, key)):
        raise ValidationError(f"`{shorten(key)}` is not a tag key", rule="1.7", hint=f"use 1 to {_MAX_KEY} {_TAG_HINT}")
    if key.lower().startswith("aws:"):
        raise ValidationError(f"the tag key `{shorten(key)}` starts with `aws:`", rule="1.7", hint="`aws:` is reserved")
    if not is_tag_value(value):
        raise ValidationError(f"`{shorten(value)}` is not a tag value", rule="1.7", hint=f"use up to {_MAX_VALUE} {_TAG_HINT}")


_TAG_HINT = "letters, digits, spaces and `_.:/=+-@`"


def is_tag_value(text: str) -> bool:
    """Whether a text can be the value of a session tag (1.7)."""
    return len(text) <= _MAX_VALUE and all(map(_is_tag_character, text))


def _is_tag_character(c: str) -> bool:
    return c in "_.:/=+-@" or unicodedata.category(c)[0] in "LNZ"


# -- session policies -----------------------------------------------------------------------------------------------------

MAX_ARNS, MAX_CHARACTERS = 10, 2048


def read_policies(
    policy: str | bytes | Mapping[str, Any] | None, arns: Sequence[str], account: str, known: Collection[str]
) -> tuple[tuple[str, ...] | None, int]:
    """The session policies, inline before managed, and how much of their limit they take, in percent; None without any.

    Raises
    ------
    ValidationError
        too large, too many, or a managed policy that is not there or of another account.
    PolicyError
        the inline policy is rejected; it is read strictly.
    """
    if isinstance(arns, (str, bytes)) or len(arns) > MAX_ARNS:
        raise ValidationError(f"session policies are a list of at most {MAX_ARNS} ARNs", rule="1.7")
    for arn in arns:
        parts = split_arn(arn) if is_managed_arn(arn) else None
        if parts is None or parts.account not in (account, "aws"):
            raise ValidationError(f"`{shorten(str(arn))}` is not a managed policy of account `{account}` or of AWS", rule="1.7")
        if arn not in known and aws_policy(arn) is None:
            raise ValidationError(f"there is no managed policy `{arn}`", code="NoSuchEntity")
    inline = () if policy is None else (_text(policy),)
    size = sum(map(len, (*inline, *arns)))
    if size > MAX_CHARACTERS:
        raise ValidationError(
            f"the session policies take {size} characters, the limit is {MAX_CHARACTERS}",
            rule="1.7",
            code="PackedPolicyTooLarge",
        )
    if inline:
        read_policy(inline[0], PolicyKind.SESSION, name="session_policies[0]")
    found = (*inline, *arns)
    return found or None, -(-100 * size // MAX_CHARACTERS)


def _text(policy: str | bytes | Mapping[str, Any]) -> str:
    """The policy as the caller writes it, or as the shortest text of a mapping."""
    if isinstance(policy, Mapping):
        return json.dumps(policy, separators=(",", ":"), ensure_ascii=False)
    try:
        return policy.decode("utf-8") if isinstance(policy, bytes) else policy
    except UnicodeDecodeError:
        raise ValidationError("the session policy is not UTF-8", code="MalformedPolicyDocument") from None
