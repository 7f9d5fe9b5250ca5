"""Why a call of STS was refused.

    StsError
    ├── ValidationError       the call itself is wrong: a name, a duration, a tag, a policy that is too large
    ├── AuthenticationError   not an existing principal: an unknown key, a wrong secret or code, an expired or altered token
    └── AccessDeniedError     the caller is known and may not; says which layer, which statement and which rule

Each has the `code` that AWS answers with. Messages never hold a secret, nor what was given in place of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fastiam.errors import FastiamError
from fastiam.model.decision import Decision, StatementRef


class StsError(FastiamError):
    """The root of what STS and the credentials refuse. `rule` is the rule of the specification, `code` the error code of AWS."""

    code = "InternalFailure"

    def __init__(self, message: str, *, rule: str = "", hint: str = "", code: str = "") -> None:
        self.message, self.rule, self.hint = message, rule, hint
        self.code = code or type(self).code
        super().__init__(message + (f" [{rule}]" if rule else "") + (f"\nhelp: {hint}" if hint else ""))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, {"rule": self.rule, "hint": self.hint, "code": self.code})


class ValidationError(StsError, ValueError):
    """The call is not valid, for any caller; no decision was made."""

    code = "ValidationError"


class AuthenticationError(StsError):
    """The credentials do not belong to an existing principal (spec 6.7). `reason` is one word, for logs and counters.

    Reasons: `unknown_key wrong_secret inactive_key token_required token_invalid expired unknown_principal wrong_password
    password_expired wrong_code throttled wrong_proof unknown_provider`.
    """

    code = "InvalidClientTokenId"

    def __init__(self, message: str, *, reason: str, rule: str = "6.7", hint: str = "", code: str = "") -> None:
        self.reason = reason
        super().__init__(message, rule=rule, hint=hint, code=code)

    def __reduce__(self) -> tuple[object, ...]:
        fields = {"reason": self.reason, "rule": self.rule, "hint": self.hint, "code": self.code}
        return _rebuild, (type(self), self.message, fields)


class AccessDeniedError(StsError):
    """A layer refuses the call. `decision` is the engine's, None where no policy was asked (a wrong MFA code).

    Attributes
    ----------
    principal, action, resource
        who, what and on what; `action` may be one that the call needs beside its own (D30).
    layer
        `resource`, `identity`, `scp`, `credential`, ... (spec 6.9).
    context
        the condition keys of the decision, of a call that a server has decided.
    """

    code = "AccessDenied"
    context: Mapping[str, object] = MappingProxyType({})

    def __init__(
        self,
        message: str,
        *,
        principal: str,
        action: str,
        resource: str,
        layer: str,
        decision: Decision | None = None,
        rule: str = "",
        hint: str = "",
        code: str = "",
    ) -> None:
        self.principal, self.action, self.resource, self.layer, self.decision = principal, action, resource, layer, decision
        super().__init__(message, rule=rule, hint=hint, code=code)

    @property
    def statement(self) -> StatementRef | None:
        """The statement that denies, where one does."""
        return None if self.decision is None else self.decision.statement

    def __reduce__(self) -> tuple[object, ...]:
        names = ("principal", "action", "resource", "layer", "decision", "rule", "hint", "code")
        return _rebuild, (type(self), self.message, {name: getattr(self, name) for name in names})


def _rebuild(kind: type[StsError], message: str, fields: dict[str, object]) -> StsError:
    return kind(message, **fields)  # type: ignore[arg-type]
