"""Broken constraints of a request: every violation is collected, and reported in one message (G126)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fastiam.aws_data.service_constraints import Constraint, Violation, violations
from fastiam.aws_data.service_models import Shape
from fastiam.model.request import shorten
from fastiam.server.protocols.aws.aws_errors import ConstraintError

# XML 1.0 cannot express these, so that no answer could hold them.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SECRET_NAMES = frozenset({"TokenCode", "AuthenticationCode1", "AuthenticationCode2", "SAMLAssertion", "WebIdentityToken"})
_TEXTS: Final[Mapping[Constraint, str]] = {
    Constraint.TYPE: "be a {0.type}",
    Constraint.CHARACTER: "not contain control characters",
    Constraint.REQUIRED: "not be null",
    Constraint.ENUM: "satisfy enum value set: [{1}]",
    Constraint.PATTERN: "satisfy regular expression pattern: {0.pattern}",
    Constraint.MIN_LENGTH: "have length greater than or equal to {0.low}",
    Constraint.MAX_LENGTH: "have length less than or equal to {0.high}",
    Constraint.MIN_VALUE: "have value greater than or equal to {0.low}",
    Constraint.MAX_VALUE: "have value less than or equal to {0.high}",
}


def check(shape: Shape, members: Mapping[str, Any], found: list[Violation]) -> None:
    """Check an input that a reader has built: its types are right, or among the violations that the reader has found.

    Raises
    ------
    ConstraintError
        `ValidationError` with all violations.
    """
    found += [each for each in violations(shape, members, forbidden=_FORBIDDEN) if each.constraint is not Constraint.TYPE]
    if found:
        reason = next((each.constraint for each in found if each.constraint is not Constraint.TYPE), "")
        reason = Constraint.PATTERN if reason is Constraint.CHARACTER else reason
        noun = "error" if len(found) == 1 else "errors"
        raise ConstraintError(
            "ValidationError", f"{len(found)} validation {noun} detected: {'; '.join(map(_sentence, found))}", reason
        )


def _sentence(each: Violation) -> str:
    """A violation in the words of AWS; the value is left out where it may be a secret."""
    is_secret = each.shape.is_sensitive or each.path.rpartition(".")[2] in _SECRET_NAMES
    is_shown = isinstance(each.value, (str, int, float)) and each.constraint is not Constraint.CHARACTER and not is_secret
    value = f" '{shorten(str(each.value))}'" if is_shown else " null" if each.constraint is Constraint.REQUIRED else ""
    text = _TEXTS[each.constraint].format(each.shape, ", ".join(sorted(each.shape.enum)))
    path = ".".join(name[:1].lower() + name[1:] for name in each.path.split("."))
    return f"Value{value} at '{path}' failed to satisfy constraint: Member must {text}"
