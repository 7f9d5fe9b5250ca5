"""Policies as an account model stores them: the parsed policy, and its JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, TypeAlias
from weakref import WeakValueDictionary

import orjson

from fastiam.errors import DirectoryError, Finding
from fastiam.model.policy import Effect, Policy, PolicyKind, Statement
from fastiam.model.request import is_iterable, shorten
from fastiam.model.source_map import Origin, Source
from fastiam.policy.json_text import JsonObject, JsonValue, Number, decode, is_url_encoded, number_text, url_decode
from fastiam.policy.substitutes import denying_statement

Mode = Literal["strict", "lenient"]
PolicyLike: TypeAlias = str | bytes | Mapping[str, Any]

FULL_ACCESS_ARN = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"


class StoredPolicy:
    """A policy and its JSON text, immutable. Two are equal if they have the same text, name, kind and ARN.

    `unparsed` makes one from a text, which is parsed on first use of `policy`.
    """

    __slots__ = ("__weakref__", "_origin", "_policy", "arn", "kind", "name", "text")

    def __init__(self, policy: Policy, text: str) -> None:
        self.name, self.kind, self.arn, self.text = policy.name, policy.kind, policy.arn, text
        self._policy: Policy | None = policy
        self._origin = policy.origin

    @classmethod
    def unparsed(
        cls, text: str, kind: PolicyKind, name: str, arn: str | None = None, origin: Origin | None = None
    ) -> StoredPolicy:
        """Make a policy from the `text` of another stored one; without `origin` its origin is the text."""
        stored = cls.__new__(cls)
        stored.name, stored.kind, stored.arn, stored.text = name, kind, arn, text
        stored._policy, stored._origin = None, origin
        return stored

    @property
    def is_read(self) -> bool:
        """Whether the text has been parsed."""
        return self._policy is not None

    @property
    def origin(self) -> Origin | None:
        """The file and path that the policy was read from; None if unknown, or if it is the text itself."""
        return self._origin

    @property
    def policy(self) -> Policy:
        """The parsed policy. A text that was accepted in either mode gives the same policy in mode lenient."""
        if self._policy is None:
            self._policy = self._read()
            _read_texts.setdefault((self.kind, self.text), self)
        return self._policy

    def _read(self) -> Policy:
        """PERF: policies with equal texts are parsed once; the others are copies with their own names."""
        known = _read_texts.get((self.kind, self.text))
        if known is None:
            from fastiam.policy.document import read_policy  # PERF: loaded only if a policy is parsed

            policy = read_policy(self.text, self.kind, mode="lenient", name=self.name, arn=self.arn)
            return policy if self._origin is None else replace(policy, origin=self._origin)
        origin = self._origin or Origin(Source(self.name or "policy", self.text))
        return replace(known.policy, name=self.name, arn=self.arn, origin=origin)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, StoredPolicy) and self._key() == other._key())

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"StoredPolicy({self.name!r}, {self.kind.value!r})"

    def _key(self) -> tuple[object, ...]:
        return self.text, self.name, self.kind, self.arn


def has_name(stored: StoredPolicy) -> bool:
    """Whether a policy was given a name. Others are named after their position, `identity_policies[0]`."""
    return not stored.name.endswith("]")


_read_texts: WeakValueDictionary[tuple[PolicyKind, str], StoredPolicy] = WeakValueDictionary()

StoredLevels: TypeAlias = tuple[tuple[StoredPolicy, ...], ...]
Given: TypeAlias = PolicyLike | StoredPolicy | tuple[str, PolicyLike]
Policies: TypeAlias = Sequence[Given] | Given


def is_managed_arn(given: object) -> bool:
    """Whether a policy argument is the ARN of a managed policy: no JSON text starts with `arn:`."""
    return isinstance(given, str) and given.startswith("arn:")


def as_items(given: object) -> tuple[Any, ...]:
    """A single document, or a list of documents, as a tuple."""
    single = isinstance(given, (str, bytes, Mapping, StoredPolicy)) or not is_iterable(given) or _is_named(given)
    return (given,) if single else tuple(given)  # type: ignore[arg-type]


def _is_named(given: object) -> bool:
    """A pair `(name, document)`; a document or ARN in first place makes it a list of two documents."""
    if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str)):
        return False
    return not is_managed_arn(given[0]) and given[0].lstrip(" \t\r\n\ufeff")[:1] not in ("{", "%", "")


@dataclass(slots=True)
class Reader:
    """Parses policy arguments in one mode, and collects the findings."""

    mode: Mode
    findings: list[Finding]

    def read(self, given: Given, kind: PolicyKind, name: str, *, arn: str | None = None) -> StoredPolicy:
        """Parse one document; a pair `(name, document)` has its own name.

        Raises
        ------
        PolicyError
            the document is rejected (F5).
        """
        if isinstance(given, StoredPolicy):
            return given
        if isinstance(given, tuple) and len(given) == 2:
            name, given = given
        if not isinstance(name, str):
            raise DirectoryError(f"the name of a policy must be text, not `{type(name).__name__}`")
        if not isinstance(given, (str, bytes, Mapping)):
            raise DirectoryError(f"`{name}` must be JSON text, bytes or a mapping, not `{type(given).__name__}`")
        from fastiam.policy.document import read_policy  # PERF: as above

        found: list[Finding] = []
        policy = read_policy(given, kind, mode=self.mode, name=name, arn=arn, findings=found)
        self.findings += found
        why = why_substituted(policy, found)
        if why is not None:
            self.findings.append(replace(why, code="POLICY-NOT-READ", message=not_read_message(name, why.message)))
        return StoredPolicy(policy, text_of(given))

    def read_all(self, given: object, kind: PolicyKind, name: str) -> tuple[StoredPolicy, ...]:
        """A document or a list of documents, named `name[0]`, `name[1]`, ..."""
        return tuple(self.read(item, kind, f"{name}[{i}]") for i, item in enumerate(as_items(given)))

    def read_levels(self, levels: Iterable[object], kind: PolicyKind, name: str) -> StoredLevels:
        """One list of documents per level, root first. The ARN of `FullAWSAccess` denotes that policy (G5)."""
        if not is_iterable(levels):
            raise DirectoryError(f"`{name}` must be a list of lists of policies, not `{type(levels).__name__}`")
        return tuple(self.read_level(level, kind, f"{name}[{i}]") for i, level in enumerate(levels))

    def read_level(self, level: object, kind: PolicyKind, name: str) -> tuple[StoredPolicy, ...]:
        """The documents of one level of an organisation path."""
        return tuple(
            FULL_ACCESS if item == FULL_ACCESS_ARN and kind is PolicyKind.SCP else self.read(item, kind, f"{name}[{i}]")
            for i, item in enumerate(as_items(level))
        )


def why_substituted(policy: Policy, findings: Iterable[Finding]) -> Finding | None:
    """The finding because of which a document without statements was read as one that denies everything (V4, V5), or None.

    `findings` are those of the document.
    """
    by_code = {finding.code: finding for finding in reversed(list(findings))}
    return by_code.get("V4") if policy.statements and "V5" in by_code else None


def not_read_message(name: str, why: str) -> str:
    """The message of finding `POLICY-NOT-READ`."""
    return f"the document of `{shorten(name)}` is not read and counts as one that denies everything: {why}"


def denying_policy(
    kind: PolicyKind, name: str, why: str, *, arn: str | None = None, origin: Origin | None = None
) -> StoredPolicy:
    """The substitute for an unreadable or unknown document that may deny.

    Its one statement denies everything and is undetermined (V4, F7), and a denial by it is marked (F6). Writing and reading its
    text gives the same policy.
    """
    from fastiam.policy.document import read_policy  # PERF: as above

    text = json.dumps({"Version": "2012-10-17", "Statement": [denying_statement(kind, why)]})
    return StoredPolicy(read_policy(text, kind, mode="lenient", name=name, arn=arn, origin=origin), text)


@lru_cache(maxsize=16_384)
def missing_policy(arn: str) -> StoredPolicy:
    """The substitute for a managed policy, or for the policies of a group, without a record: one object for each ARN."""
    return denying_policy(PolicyKind.IDENTITY, arn, "its record is missing", arn=arn)


def text_of(document: PolicyLike) -> str:
    """The JSON text of a document that was read without error; number tokens are unchanged (G12).

    Raises
    ------
    DirectoryError
        an element that no rule reads is nested too deeply.
    """
    if isinstance(document, Mapping):
        try:
            text = _json(document)
        except RecursionError:
            raise DirectoryError("the policy cannot be stored: brackets are nested too deeply", rule="V1") from None
    else:
        text = decode(document).removeprefix("\ufeff")
        text = url_decode(text) if is_url_encoded(text) else text
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def text_of_parsed(document: dict[str, JsonValue]) -> str:
    """The JSON text of an object from `parse_json`. PERF: orjson writes it if it can."""
    try:
        return orjson.dumps(document, _plain, orjson.OPT_PASSTHROUGH_SUBCLASS).decode()
    except orjson.JSONEncodeError:  # lone surrogates, or deep nesting
        return text_of(document)


def _plain(value: object) -> Any:
    """Convert a value that orjson cannot write: a number token, or an object with duplicate names."""
    return dict(value) if isinstance(value, JsonObject) else orjson.Fragment(str(value))


def _json(value: object) -> str:
    kind = type(value)
    if kind is str:
        return _quoted(value)  # type: ignore[arg-type]
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join([f"{_quoted(str(key))}:{_json(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([_json(item) for item in value]) + "]"
    if value is None or kind is bool:
        return {None: "null", True: "true", False: "false"}[value]  # type: ignore[index]
    if isinstance(value, (int, float, Decimal)):
        return number_text(value) or "null"
    return _quoted(str(value))


_quoted = json.encoder.encode_basestring  # AWS counts characters, so none becomes six

_SURROGATE = re.compile("[\ud800-\udfff]")

FULL_ACCESS = StoredPolicy(
    Policy(
        PolicyKind.SCP,
        True,
        (Statement(0, None, Effect.ALLOW, ("*",), resources=("*",)),),
        name="FullAWSAccess",
        arn=FULL_ACCESS_ARN,
    ),
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
)
