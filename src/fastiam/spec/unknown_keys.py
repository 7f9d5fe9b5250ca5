"""The unknown keys of a request (spec D70, D71): declared keys that are not known, and keys derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastiam.model.arn import split_arn
from fastiam.model.profile import PrincipalKind, PrincipalProfile, ResourceProfile
from fastiam.model.request import ContextValue, Request, is_declared
from fastiam.spec.actions import split_action

REQUEST_TAG, RESOURCE_TAG, IAM_RESOURCE_TAG = "aws:requesttag/", "aws:resourcetag/", "iam:resourcetag/"
NOW, EPOCH = "aws:currenttime", "aws:epochtime"
MFA = "aws:multifactorauthpresent"
_ROOTS = (PrincipalKind.ROOT, PrincipalKind.AROOT)

# Keys that depend only on another key
_FOLLOWS = {"aws:viaawsservice": "aws:calledvia", "aws:calledviafirst": "aws:calledvia", "aws:calledvialast": "aws:calledvia",
            EPOCH: NOW, NOW: EPOCH}  # fmt: skip
# Keys that are derived from another key, and are unknown with it (D71)
_DERIVED = _FOLLOWS | {
    "aws:sourceorgid": "aws:sourceaccount",
    "aws:sourceorgpaths": "aws:sourceaccount",
    "aws:vpceaccount": "aws:sourcevpce",
    "aws:vpceorgid": "aws:sourcevpce",
    "aws:vpceorgpaths": "aws:sourcevpce",
}


class UnknownKeys:
    """The unknown keys of a request, as a container of folded names; false if none is declared.

    `profiles` are the keys that the profiles of principal, resource and endpoint contain.
    """

    def __init__(
        self, principal: PrincipalProfile, resource: ResourceProfile, profiles: Mapping[str, ContextValue], request: Request
    ) -> None:
        self._principal, self._profiles, self._request = principal, profiles, request
        self._has_iam_tags, self._is_pass_role = has_iam_tags(resource), is_pass_role(request)

    def __bool__(self) -> bool:
        return bool(self._request.unknown)

    def __contains__(self, key: object) -> bool:
        """Declared unknown, or derived from such a key and not in the request (D71)."""
        if not self or not isinstance(key, str):
            return False
        if self._is_declared(key):
            return True
        return key not in self._request.context and any(map(self._is_declared, self._sources(key)))

    def _sources(self, key: str) -> Iterable[str]:
        """The keys from which this key would be derived."""
        if key == "aws:tagkeys":
            return (REQUEST_TAG + "*", *(item for item in self._request.unknown if item.startswith(REQUEST_TAG)))
        if key.startswith(IAM_RESOURCE_TAG) and self._has_iam_tags:
            return (RESOURCE_TAG + key.removeprefix(IAM_RESOURCE_TAG),)
        if key == MFA and self._principal.kind is PrincipalKind.USER and not self._is_known(key):
            return ("aws:calledvia",)
        return (_DERIVED[key],) if key in _DERIVED else ()

    def _is_declared(self, key: str) -> bool:
        """Declared by name, or by a prefix unless the request contains it, and not a key that a profile knows (K1)."""
        if self._is_given(key) or not is_declared(self._request.unknown, key):
            return False
        if key not in self._request.unknown and self._is_given(self._followed(key)):
            return False
        if self._is_pass_role and key.startswith((RESOURCE_TAG, IAM_RESOURCE_TAG)):
            return False
        if key == "aws:assumedroot" and self._principal.kind in _ROOTS:
            return False
        principal = self._principal
        return key in principal.open_keys or key in principal.declarable_keys or not self._is_known(key)

    def _is_given(self, key: str | None) -> bool:
        """The request contains the key, or states that it is absent."""
        return key in self._request.context or key in self._request.absent

    def _followed(self, key: str) -> str | None:
        if key.startswith(IAM_RESOURCE_TAG) and self._has_iam_tags:
            return RESOURCE_TAG + key.removeprefix(IAM_RESOURCE_TAG)
        return _FOLLOWS.get(key)

    def _is_known(self, key: str) -> bool:
        followed = self._followed(key) if key.startswith(IAM_RESOURCE_TAG) else None
        if key in self._profiles or followed in self._profiles:
            return True
        absent = self._principal.absent_keys
        return key in absent or key.startswith(tuple(name for name in absent if name.endswith("/")))


def is_pass_role(request: Request) -> bool:
    """The action is `iam:PassRole`, which has no tags of the resource (6.3)."""
    return split_action(request.action) == ("iam", "passrole")


def has_iam_tags(resource: ResourceProfile) -> bool:
    """The resource is an IAM user or role: its tags have a second name (5.5)."""
    arn = split_arn(resource.arn)
    return arn is not None and arn.service == "iam" and arn.rest.startswith(("user/", "role/"))
