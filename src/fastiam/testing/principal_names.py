"""The principals that a test file names (T6, T12): an ARN, a service, `*`, `role/NAME`, a bare name, or a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastiam.directory.stored_policies import PolicyLike
from fastiam.errors import FastiamError, did_you_mean
from fastiam.model.arn import split_arn
from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.model.session import Session
from fastiam.sources.located_values import LocatedValue
from fastiam.testing.file_values import Variables, error
from fastiam.testing.test_file import principal_keys

if TYPE_CHECKING:
    from fastiam.api.engine import Engine
    from fastiam.testing.documents import Documents

_KINDS = {"federated": PrincipalKind.FED, "assumed-root": PrincipalKind.AROOT}


@dataclass(slots=True)
class PrincipalReader:
    """Reads the principals of one file. `engine` is None for documents alone, where only ARNs are known."""

    engine: Engine | None
    variables: Variables
    documents: Documents
    _by_name: dict[str, list[str]] | None = None

    def read(self, given: LocatedValue, now: datetime) -> str | Session | PrincipalProfile:
        """Return what the engine takes; a profile for an external principal.

        Raises
        ------
        SourceError
            no principal, or several ones, have the name; a key of a session is wrong.
        """
        if not isinstance(given.value, dict):
            return self._named(given, self.variables.text(given))
        members = principal_keys(given)
        if "external" in members:
            return self._external(given, members)
        try:
            return self._session(given, members, now)
        except FastiamError as failed:
            if getattr(failed, "source", None):
                raise
            raise error(given, str(failed).partition("\n")[0], "TEST-PRINCIPAL") from None

    def _named(self, given: LocatedValue, text: str, kind: str = "") -> str:
        if self.engine is None or text == "*":
            return text
        if text.startswith("arn:"):
            if not self.engine.snapshot.principal(text).known:
                hint = "`{external: ARN}` is a principal of an account without records"
                raise error(
                    given, f"the policies contain no principal `{text}`", "TEST-PRINCIPAL", hint=self._nearest(text) or hint
                )
            return text
        if "." in text and "/" not in text:
            return text  # a service
        kind, name = text.split("/", 1) if text.startswith(("role/", "user/")) else (kind, text)
        found = [
            arn
            for arn in self._names().get(name.rpartition("/")[2].lower(), ())
            if f":{kind}" in arn and arn.endswith(f"/{name}")
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise error(
                given, f"several principals are named `{text}`: {', '.join(found[:3])}", "TEST-PRINCIPAL", hint="write the ARN"
            )
        known = [each for each, arns in self._names().items() if any(f":{kind}" in arn for arn in arns)]
        message = f"the policies contain no {kind or 'principal'} `{name}`"
        raise error(given, message, "TEST-PRINCIPAL", hint=did_you_mean(name, known))

    def _names(self) -> dict[str, list[str]]:
        if self._by_name is None:
            self._by_name = {}
            assert self.engine is not None
            for arn, kind in self.engine.snapshot.names():
                if kind is not PrincipalKind.ROOT:
                    self._by_name.setdefault(arn.rpartition("/")[2].lower(), []).append(arn)
        return self._by_name

    def _nearest(self, arn: str) -> str:
        return did_you_mean(arn.rpartition("/")[2], self._names())

    def _session(self, given: LocatedValue, members: Mapping[str, LocatedValue], now: datetime) -> Session:
        issuer_kind = next(name for name in ("role", "user", "root") if name in members)
        issuer_value = members[issuer_kind]
        text = self.variables.text(issuer_value)
        issuer = text if issuer_kind == "root" else self._named(issuer_value, text, issuer_kind)
        arn = split_arn(issuer)
        if arn is None:
            raise error(issuer_value, f"`{issuer}` is not an ARN", "TEST-PRINCIPAL")
        name = self._text(members, "name") or "test"
        kind_word = self._text(members, "kind")
        if kind_word is not None and kind_word not in _KINDS:
            raise error(members["kind"], f"`{kind_word}` is none of {', '.join(_KINDS)}", "TEST-PRINCIPAL")
        sts = f"arn:{arn.partition}:sts::{arn.account}"
        if kind_word is not None:
            kind = _KINDS[kind_word]
            own = f"{sts}:federated-user/{name}" if kind is PrincipalKind.FED else issuer
        elif issuer_kind == "role":
            kind, own = PrincipalKind.ROLE, f"{sts}:assumed-role/{issuer.rpartition('/')[2]}/{name}"
            if "/aws-service-role/" in issuer:
                kind = PrincipalKind.SLR
        else:
            kind, own = (PrincipalKind.USER if issuer_kind == "user" else PrincipalKind.ROOT), issuer
        return Session(
            own,
            kind=kind,
            issuer=issuer,
            policies=self._policies(members),
            tags=self._texts(members.get("tags")),
            transitive_tags=tuple(self.variables.text(each) for each in members["transitive_tags"].items())
            if "transitive_tags" in members
            else (),
            issued_at=members["issued_at"].instant() if "issued_at" in members else None,
            mfa_at=now if "mfa" in members and members["mfa"].flag() else None,
            source_identity=self._text(members, "source_identity"),
            context=self._texts(members.get("context")),
        )

    def _policies(self, members: Mapping[str, LocatedValue]) -> list[PolicyLike] | None:
        given = members.get("policies")
        return None if given is None else self.documents.of_list(given)

    def _text(self, members: Mapping[str, LocatedValue], name: str) -> str | None:
        return self.variables.text(members[name]) if name in members else None

    def _texts(self, given: LocatedValue | None) -> dict[str, Any]:
        if given is None:
            return {}
        return {
            self.variables.text(given.child(key, key)): value.value
            if isinstance(value.value, bool)
            else self.variables.text(value)
            for key, value in given.members()
        }

    def _external(self, given: LocatedValue, members: Mapping[str, LocatedValue]) -> PrincipalProfile:
        from fastiam.analysis.access.external_principals import external_profile

        if len(members) > 1:
            raise error(given, "an external principal has its ARN alone", "TEST-PRINCIPAL")
        if self.engine is None:
            raise error(given, "`external` needs `policies`", "TEST-PRINCIPAL")
        arn = self.variables.text(members["external"])
        profile = external_profile(self.engine.snapshot, arn)
        if profile is None:
            hint = "name a user, role or root of an account without records; leave out `external` for others"
            raise error(members["external"], f"`{arn}` is not an external principal", "TEST-PRINCIPAL", hint=hint)
        return profile
