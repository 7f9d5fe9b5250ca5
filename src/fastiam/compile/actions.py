"""Actions: patterns of policies, the automaton that finds those which match, and what the rules ask of an action.

A distinct action is matched once. Patterns without wildcards are found by their text; of each other one the longest literal
fragment is put into an Aho-Corasick automaton, and what the automaton finds is verified.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from fastiam.compile.layout import FORBID_SHIFT, ActionFlag, Credential
from fastiam.compile.pattern_text import ONE, STAR, globbed, utf8
from fastiam.kernel.plan.tables import glob_matches
from fastiam.model.profile import FEDERATION, Settings
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.wildcards import matches_everything

Parts = tuple[bytes, bytes]  # prefix and name, encoded, in lower case

_FEW = 16  # patterns with wildcards that are tried one by one, without an automaton
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_TOKENS = re.compile(b"[" + STAR + ONE + b"]")


@lru_cache(maxsize=4096)
def read_action(text: str) -> Parts | None | bool:
    """Prefix and name of an action entry; None for one that matches every action (A1), False for a malformed one (V24)."""
    if matches_everything(text):
        return None
    parts = split_action_pattern(text)
    return False if parts is None else (globbed(lowered(parts[0])), globbed(lowered(parts[1])))


def lowered(text: str) -> str:
    """Lower case of ASCII letters alone (A1)."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


class ActionMatcher:
    """The action patterns of an engine, by number, with the flags of actions."""

    def __init__(self, patterns: list[Parts | None], settings: Settings) -> None:
        self._flags = ActionFlags(settings)
        self._every = [number for number, parts in enumerate(patterns) if parts is None]
        self._exact: dict[bytes, list[int]] = {}
        self._wild: list[tuple[int, bytes, bytes]] = []
        for number, parts in enumerate(patterns):
            if parts is None:
                continue
            whole = b":".join(parts)
            if _TOKENS.search(whole) is None:
                self._exact.setdefault(whole, []).append(number)
            else:
                self._wild.append((number, *parts))
        self._automaton = _automaton(self._wild) if len(self._wild) > _FEW else None

    def __call__(self, action: bytes) -> tuple[tuple[int, ...], int]:
        """The numbers of the patterns that match a literal action, sorted, and its flags."""
        folded = bytes(action).lower()
        prefix, _, name = folded.partition(b":")
        found = self._every + self._exact.get(folded, [])
        for number, head, rest in self._candidates(folded):
            if glob_matches(head, prefix) and glob_matches(rest, name):
                found.append(number)
        return tuple(sorted(found)), self._flags.of(prefix, name)

    def _candidates(self, action: bytes) -> list[tuple[int, bytes, bytes]]:
        if self._automaton is None:
            return self._wild
        found: dict[int, tuple[int, bytes, bytes]] = {}
        for _, patterns in self._automaton.iter(action.decode("latin-1")):
            for pattern in patterns:
                found[pattern[0]] = pattern
        return list(found.values())


def _automaton(wild: list[tuple[int, bytes, bytes]]) -> Any:
    """The automaton over the longest literal fragment of each pattern; the colon is always one (bytes read as latin-1)."""
    import ahocorasick  # imported here: it brings the GIL back on a free-threaded Python

    by_fragment: dict[str, list[tuple[int, bytes, bytes]]] = {}
    for pattern in wild:
        fragment = max(_TOKENS.split(pattern[1] + b":" + pattern[2]), key=len)
        by_fragment.setdefault(fragment.decode("latin-1"), []).append(pattern)
    automaton = ahocorasick.Automaton()
    for text, patterns in by_fragment.items():
        automaton.add_word(text, patterns)
    automaton.make_automaton()
    return automaton


_STS_ROLE = "assumerole assumerolewithsaml assumerolewithwebidentity tagsession setsourceidentity"
_TOKEN_CALLS = "assumerole getcalleridentity getscopedcredentials getwebidentitytoken getdelegatedaccesstoken"
_FEDERATED_CALLS = "getcalleridentity getscopedcredentials getdelegatedaccesstoken"
_LINKED = (
    "updateassumerolepolicy attachrolepolicy detachrolepolicy putrolepolicy deleterolepolicy"
    " putrolepermissionsboundary deleterolepermissionsboundary"
)
_RESERVED = (
    _LINKED + " createrole createservicelinkedrole deleterole deleteservicelinkedrole updaterole updateroledescription"
    " tagrole untagrole"
)
_POLICY = "createpolicy deletepolicy createpolicyversion deletepolicyversion setdefaultpolicyversion tagpolicy untagpolicy"


def _names(prefix: str, names: str) -> set[bytes]:
    return {utf8(f"{prefix}:{name}") for name in names.split()}


_EXACT: tuple[tuple[set[bytes], ActionFlag], ...] = (
    (_names("sts", "getcalleridentity"), ActionFlag.CALLER_IDENTITY),
    (_names("sts", "getsessiontoken"), ActionFlag.SESSION_TOKEN),
    (_names("iam", "passrole"), ActionFlag.PASS_ROLE),
    (_names("sts", "setsourceidentity"), ActionFlag.SET_SOURCE_IDENTITY),
    (_names("sts", _STS_ROLE), ActionFlag.STS_ROLE),
    (_names("sts", "tagsession setsourceidentity"), ActionFlag.TRUST),
    (_names("kms", "retiregrant"), ActionFlag.RETIRE_GRANT),
    (set(map(utf8, FEDERATION)), ActionFlag.FEDERATION),
    (_names("sts", "assumerolewithsaml tagsession setsourceidentity"), ActionFlag.OF_SAML),
    (_names("sts", "assumerolewithwebidentity tagsession setsourceidentity"), ActionFlag.OF_OIDC),
    (_names("iam", _POLICY), ActionFlag.HARD_POLICY),
    (_names("iam", _RESERVED), ActionFlag.HARD_RESERVED),
    (_names("iam", _LINKED), ActionFlag.HARD_LINKED),
    (_names("kms", "createalias updatealias deletealias"), ActionFlag.HARD_ALIAS),
)
_FLAGS: dict[bytes, int] = {
    action: sum(flag for names, flag in _EXACT if action in names) for actions, _ in _EXACT for action in actions
}
_PERMISSIONS = _names("iam", "passrole") | _names("sts", "tagsession setsourceidentity")  # S10


class ActionFlags:
    """The flags of an action, under given settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_prefix: dict[bytes, int] = {}

    def of(self, prefix: bytes, name: bytes) -> int:
        """Flags of `prefix:name`, in lower case."""
        action = prefix + b":" + name
        flags = self._of_prefix(prefix) | _FLAGS.get(action, 0)
        exempt = self._settings.scp_exempt_actions
        if exempt and action.decode("utf-8", "surrogatepass") in exempt:
            flags |= ActionFlag.SCP_EXEMPT
        if prefix == b"sts" and name.startswith(b"assume"):
            flags |= ActionFlag.TRUST
        if prefix in (b"sts", b"iam"):
            flags |= sum(1 << (FORBID_SHIFT + credential) for credential in _forbidden(prefix, name, action))
        return flags

    def _of_prefix(self, prefix: bytes) -> int:
        found = self._by_prefix.get(prefix)
        if found is None:
            text = prefix.decode("utf-8", "surrogatepass")
            tests = (
                (prefix == b"sts", ActionFlag.STS),
                (prefix == b"kms", ActionFlag.KMS),
                (text in self._settings.rcp_services, ActionFlag.RCP),
                (text in self._settings.anonymous_services, ActionFlag.ANONYMOUS),
                (text in self._settings.resource_policy_services, ActionFlag.NEEDS_RESOURCE),
                (text in self._settings.global_services, ActionFlag.GLOBAL),
            )
            found = sum(flag for is_so, flag in tests if is_so)
            if len(self._by_prefix) < 10_000:  # made-up services must not grow it without bound
                self._by_prefix[prefix] = found
        return found


def _forbidden(prefix: bytes, name: bytes, action: bytes) -> list[Credential]:
    """The credentials that cannot make a call of STS or IAM (7.4, D31, S10)."""
    if action in _PERMISSIONS:
        return []
    found = []
    text = name.decode("latin-1")
    if prefix == b"iam":
        return [Credential.FED, Credential.USER_TOKEN, Credential.ROOT_TOKEN]
    if text in ("getfederationtoken", "getsessiontoken"):
        found.append(Credential.ROLE)
    if text not in _FEDERATED_CALLS.split():
        found.append(Credential.FED)
    of_root = text in ("assumerole", "assumeroot", "getscopedcredentials")
    if of_root:
        found.append(Credential.ROOT)
    if text not in _TOKEN_CALLS.split():
        found += [Credential.USER_TOKEN, Credential.USER_TOKEN_MFA]
    if of_root or text not in _TOKEN_CALLS.split():
        found += [Credential.ROOT_TOKEN, Credential.ROOT_TOKEN_MFA]
    if text == "getscopedcredentials":
        found += [Credential.USER, Credential.USER_ROOTS]
    if text == "assumeroot":
        found.append(Credential.USER)
    return found
