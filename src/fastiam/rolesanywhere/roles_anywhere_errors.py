"""Refusals of IAM Roles Anywhere, as part of the tree of `fastiam.sts` errors, and what a client gets of them.

    StsError
    ├── ValidationError           `ValidationException`: the form of the call; `ResourceNotFoundException`: an absent object
    ├── AuthenticationError
    │   └── CertificateError      `AccessDeniedException`: signature, date, certificate, path, revocation, profile
    └── AccessDeniedError         `AccessDeniedException`: the trust policy of the role

Each has the `rule` of the specification. Messages never contain a signature or a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastiam.credentials.sts_errors import AccessDeniedError, AuthenticationError, StsError, ValidationError

NOT_FOUND = "ResourceNotFoundException"


class CertificateError(AuthenticationError):
    """The request, its certificate or the objects that it names give no session."""

    code = "AccessDeniedException"


def invalid(message: str, *, rule: str, hint: str = "") -> ValidationError:
    """The error of a call whose form is wrong."""
    return ValidationError(message, rule=rule, hint=hint, code="ValidationException")


def absent(message: str, *, rule: str = "6.4", hint: str = "") -> ValidationError:
    """The error of a call that names what does not exist."""
    return ValidationError(message, rule=rule, hint=hint, code=NOT_FOUND)


def untrusted(message: str, *, rule: str, reason: str = "untrusted_certificate") -> CertificateError:
    """The error of a certificate that is not accepted."""
    return CertificateError(f"untrusted signing certificate: {message}", reason=reason, rule=rule)


@contextmanager
def refusing(rule: str, what: str) -> Iterator[None]:
    """Refuse a certificate that the library cannot read: undecidable means deny (FD3)."""
    try:
        yield
    except StsError:
        raise
    except Exception as error:  # the library raises many kinds, those of Rust code among them
        raise untrusted(f"{what} ({type(error).__name__})", rule=rule) from None


def refused_role(error: StsError, role: str, unmapped: tuple[str, ...]) -> StsError:
    """The error of STS about a role, with the codes of CreateSession; a missing role gives the same error (6.4)."""
    hint = f"some attributes failed to be mapped into session tags: {', '.join(unmapped)}" if unmapped else error.hint
    if isinstance(error, AccessDeniedError):
        return AccessDeniedError(
            f"unable to assume role `{role}`: {error.message}",
            principal=error.principal,
            action=error.action,
            resource=error.resource,
            layer=error.layer,
            decision=error.decision,
            rule=error.rule,
            hint=hint,
            code=CertificateError.code,
        )
    if isinstance(error, ValidationError) and error.code != "NoSuchEntity":
        return invalid(error.message, rule=error.rule, hint=error.hint)
    return CertificateError(f"unable to assume role `{role}`", reason="unknown_principal", rule="6.4", hint=hint)
