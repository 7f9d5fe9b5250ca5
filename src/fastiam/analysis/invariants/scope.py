"""The scope of an invariant: sets of principals, actions and resources, and the statements that stand for them (T50 to T54, T71).

Patterns, conditions and variables of an invariant are statements, so that they mean what they mean in policies. Owners and
principals choose the cases.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from fastiam.analysis.invariants.model import Invariant
from fastiam.analysis.invariants.subjects import Subject
from fastiam.analysis.invariants.universe import LISTED, MEMBER, OUTSIDE, Home
from fastiam.aws_data.catalog import AwsData
from fastiam.errors import MissingPackageError, RequestValueError, did_you_mean
from fastiam.model.arn import split_arn
from fastiam.model.policy import Policy, PolicyKind
from fastiam.model.profile import PROVIDERS, PrincipalKind
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.document import read_policy
from fastiam.policy.wildcards import matches_everything
from fastiam.resolve.snapshot import Snapshot
from fastiam.spec.operators import OPERATORS
from fastiam.spec.variables import read_tokens
from fastiam.spec.wildcards import glob_matches, read_glob

Choice = tuple[str, ...]  # all of these
Choices = tuple[Choice, ...]  # one of these
_WORDS = ("everyone", "organization", "outside", "anonymous", "services")
_PREFIXES = ("account:", "ou:", "service:", "federated:", "kind:", "tag:")
_OWNERS = ("known", "organization", "outside", "all")
_OWNER_PREFIXES = ("account:", "ou:")
ALWAYS_ALLOWED = frozenset({("sts", "getcalleridentity"), ("sts", "getsessiontoken")})  # T64


@dataclass(frozen=True, slots=True)
class ResourceChoice:
    """Resources of some owners that match some patterns; all of them without a pattern."""

    owners: Choice
    patterns: Choice


class InvariantScope:
    """The scope of an invariant over a directory.

    Raises
    ------
    RequestValueError
        a set or a pattern cannot be read, or names nothing.
    PolicyError
        a condition is rejected.
    """

    def __init__(self, invariant: Invariant, snapshot: Snapshot | None) -> None:
        self._sets, self._snapshot = invariant.sets, snapshot
        given = invariant.scope
        self.principals = self._choices(given["principals"], "principals")
        self.excepted = self._choices(given.get("except"), "principals")
        for choice in (*self.principals, *self.excepted):
            for word in choice:
                self._check_principal(word)
        self.actions = self._texts(given["actions"], "actions")
        self.except_actions = self._texts(given.get("except_actions"), "actions")
        for text in (*self.actions, *self.except_actions):
            _check_action(text)
        resources = given.get("resources")
        self.resources = self._resources(["known"] if resources is None else resources)
        self.except_resources = self._resources(given.get("except_resources"))
        self.given = self._blocks(given.get("given"), "given")
        self.only_if = self._blocks(given.get("only_if"), "only_if")

    # -- reading ------------------------------------------------------------------------------------------------------

    def _choices(self, given: Any, kind: str) -> Choices:
        """Return a set as an OR of ANDs."""
        if given is None:
            return ()
        if isinstance(given, Mapping):
            if set(given) != {"all"}:
                raise RequestValueError("a set is text, a list, or a mapping with `all`", column=kind)
            parts = [self._choices(one, kind) for one in _listed(given["all"])]
            return tuple(tuple(itertools.chain(*choice)) for choice in itertools.product(*parts))
        if isinstance(given, str):
            if given.startswith("set:"):
                return self._choices(self._set(given, kind), kind)
            return ((given,),)
        if not isinstance(given, Sequence):
            raise RequestValueError(f"a set is text or a list, not `{type(given).__name__}`", column=kind)
        return tuple(choice for one in given for choice in self._choices(one, kind))

    def _set(self, name: str, kind: str) -> Sequence[Any]:
        known = self._sets.get(kind, {})
        found = known.get(name.removeprefix("set:"))
        if found is None:
            hint = did_you_mean(name.removeprefix("set:"), known)
            raise RequestValueError(f"there is no set `{name}` of {kind}", column=kind, hint=hint)
        return _listed(found)

    def _texts(self, given: Any, kind: str) -> tuple[str, ...]:
        found = self._choices(given, kind)
        if any(len(choice) != 1 for choice in found):
            raise RequestValueError(f"`all` is for principals and resources, not for {kind}", column=kind)
        return tuple(choice[0] for choice in found)

    def _resources(self, given: Any) -> tuple[ResourceChoice, ...]:
        found = []
        for choice in self._choices(given, "resources"):
            owners = tuple(one for one in choice if one in _OWNERS or one.startswith(_OWNER_PREFIXES))
            patterns = tuple(one for one in choice if one not in owners)
            for text in patterns:
                if not matches_everything(text) and not text.startswith("arn:"):
                    hint = did_you_mean(text, _OWNERS) or "write an ARN pattern, or one of known, organization, outside, all"
                    raise RequestValueError(f"`{text}` is not a set of resources", column="resources", hint=hint)
            found.append(ResourceChoice(owners or ("known",), patterns))
        return tuple(found)

    def _blocks(self, given: Any, name: str) -> tuple[Policy, ...]:
        """Return a policy for each block of conditions."""
        blocks = [given] if isinstance(given, Mapping) else _listed(given)
        found = []
        for block in blocks:
            if not isinstance(block, Mapping) or not block:
                raise RequestValueError("a condition is a block in IAM syntax", column=name)
            if any(isinstance(entries, Mapping) and [] in entries.values() for entries in block.values()):
                raise RequestValueError("a condition compares with an empty list, so that no request satisfies it", column=name)
            found.append(statement_policy(Condition=block))
        return tuple(found)

    # -- checks -------------------------------------------------------------------------------------------------------

    def _check_principal(self, word: str) -> None:
        if word in _WORDS or word.startswith(_PREFIXES):
            if word.startswith("kind:") and word.removeprefix("kind:") not in PrincipalKind.__members__:
                raise RequestValueError(f"`{word}` is not a kind of principal", column="principals")
            if word.startswith("tag:") and "=" not in word:
                raise RequestValueError(f"`{word}` has no value", column="principals", hint="write `tag:KEY=VALUE`")
            return
        if split_arn(word) is None:
            of_any_account = f"write `arn:aws:iam::*:{word}`" if word.startswith(("user/", "role/")) else ""
            hint = (
                of_any_account
                or did_you_mean(word, _WORDS)
                or "write an ARN pattern, or a set such as `everyone` or `account:ID`"
            )
            raise RequestValueError(f"`{word}` is not a set of principals", column="principals", hint=hint)

    def missing_principal(self, subjects: Sequence[Subject]) -> str | None:
        """Return an ARN without wildcards that no principal has; such an ARN is misspelled (T54)."""
        names = {name for one in subjects for name in one.names}
        for choice in (*self.principals, *self.excepted):
            for word in choice:
                if word.startswith("arn:") and "*" not in word and "?" not in word and word not in names:
                    return word
        return None

    # -- membership ---------------------------------------------------------------------------------------------------

    def has_principal(self, subject: Subject, home: Home | None) -> bool:
        """Whether a subject is in scope."""
        return self._in_any(self.principals, subject, home) and not self._in_any(self.excepted, subject, home)

    def _in_any(self, choices: Choices, subject: Subject, home: Home | None) -> bool:
        return any(all(self._is_in(word, subject, home) for word in choice) for choice in choices)

    def _is_in(self, word: str, subject: Subject, home: Home | None) -> bool:
        kind = subject.kind
        if word == "everyone":
            return True
        if word == "anonymous":
            return kind is PrincipalKind.ANON
        if word == "services":
            return kind is PrincipalKind.SVC
        if word == "organization":
            return subject.membership in (LISTED, MEMBER)
        if word == "outside":
            return kind in PROVIDERS or home is not None and self._is_outside(home)
        prefix, colon, value = word.partition(":")
        if prefix == "account":
            return home is not None and home.account == value
        if prefix == "ou":
            return home is not None and value in home.units
        if prefix == "service":
            return kind is PrincipalKind.SVC and value in (subject.profile.name, *subject.profile.service_names)
        if prefix == "federated":
            return kind in PROVIDERS and fnmatchcase(subject.profile.name, value)
        if prefix == "kind":
            return kind.value == value
        if prefix == "tag":
            key, _, wanted = value.partition("=")
            return any(name.lower() == key.lower() and text == wanted for name, text in subject.tags.items())
        return any(arn_matches(word, name) for name in subject.names)

    def _is_outside(self, home: Home) -> bool:
        has_organization = self._snapshot is not None and self._snapshot.tables.organization is not None
        return home.membership == OUTSIDE if has_organization else not home.has_record

    def owner_choices(self, home: Home, given: tuple[ResourceChoice, ...]) -> list[Choice]:
        """Return the patterns of resources of an owner, of each choice that it is in; an empty choice is all of them."""
        return [one.patterns for one in given if all(self._owns(word, home) for word in one.owners)]

    def _owns(self, word: str, home: Home) -> bool:
        if word == "all":
            return True
        if word == "known":
            return home.membership == LISTED or home.has_record
        if word == "organization":
            return home.membership == LISTED
        if word == "outside":
            return self._is_outside(home)
        prefix, _, value = word.partition(":")
        return home.account == value if prefix == "account" else value in home.units

    def literal_calls(self) -> frozenset[tuple[str, str]]:
        """Return the actions that are named without a wildcard, in lower case."""
        parts = (split_action_pattern(text.lower()) for text in self.actions if "*" not in text and "?" not in text)
        return frozenset(one for one in parts if one is not None)

    def texts(self) -> Iterator[str]:
        """Yield all texts that name principals, accounts or organizations."""
        for choice in (*self.principals, *self.excepted):
            yield from choice
        for one in (*self.resources, *self.except_resources):
            yield from (*one.owners, *one.patterns)


def statement_policy(**elements: Any) -> Policy:
    """Return a policy of one Allow, of everything that elements do not limit."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", **elements}
    return read_policy({"Version": "2012-10-17", "Statement": statement}, PolicyKind.IDENTITY, name="invariant")


@lru_cache(maxsize=4096)
def action_policy(actions: tuple[str, ...]) -> Policy:
    """Return a policy of one Allow of some actions."""
    return statement_policy(Action=list(actions))


@lru_cache(maxsize=4096)
def resource_policy(pattern: str) -> Policy:
    """Return a policy of one Allow of the resources that a pattern without variables matches."""
    return replace(statement_policy(Resource=pattern), variables=False)


def arn_matches(pattern: str, text: str) -> bool:
    """Whether a pattern matches an ARN by fields, as `ArnLike` does."""
    value, expected = _read_arn(text), _read_pattern(pattern)
    return value is not None and expected is not None and bool(OPERATORS["ArnLike"].holds(value, expected))


@lru_cache(maxsize=4096)
def _read_arn(text: str) -> object:
    return OPERATORS["ArnLike"].read_context(text)


@lru_cache(maxsize=4096)
def _read_pattern(pattern: str) -> object:
    return OPERATORS["ArnLike"].read_policy(read_tokens(pattern, False, True))


def field_matches(pattern: str, text: str) -> bool:
    """Whether a glob matches a text."""
    return glob_matches(read_glob(pattern), text)


def _listed(given: Any) -> Sequence[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]


def _check_action(text: str) -> None:
    if matches_everything(text):
        return
    parts = split_action_pattern(text)
    if parts is None:
        raise RequestValueError(f"`{text}` is not a pattern of actions", column="actions", hint="write `s3:Get*`")
    try:
        data = AwsData.installed()
    except MissingPackageError:
        return
    if "*" in text or "?" in text or parts[0].lower() not in data.prefixes:
        return
    actions = data.service(parts[0].lower()).actions
    if parts[1].lower() not in actions and text.lower() not in actions:
        hint = did_you_mean(text, [one.name for one in actions.values()])
        raise RequestValueError(f"AWS has no action `{text}`", column="actions", hint=hint)
