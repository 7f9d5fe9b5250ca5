"""The constraints of input shapes: every violation of a request is collected, and reported in one message (G126)."""

from __future__ import annotations

import re
from datetime import datetime

from fastiam.aws_data.service_models import Shape
from fastiam.model.request import shorten
from fastiam.server.protocols.aws.errors import ConstraintError

# XML 1.0 cannot express these, so that no answer could hold them.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MAX_MATCHED = 4_096  # characters
_SECRET_NAMES = frozenset({"TokenCode", "AuthenticationCode1", "AuthenticationCode2", "SAMLAssertion", "WebIdentityToken"})


class Violations:
    """The violations of one request, in the order of its members."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._reason = ""

    def add(self, shape: Shape, path: str, value: object, constraint: str, reason: str = "") -> None:
        """Add a violation; the value is left out where it may be a secret. `reason` is its kind, see `ConstraintError`."""
        self._reason = self._reason or reason
        is_secret = shape.is_sensitive or path.rpartition(".")[2] in _SECRET_NAMES
        shown = "" if is_secret or not isinstance(value, (str, int, float)) else f" '{shorten(str(value))}'"
        self.texts.append(f"Value{shown} at '{_wire(path)}' failed to satisfy constraint: {constraint}")

    def missing(self, path: str) -> None:
        """Add a member that has no value."""
        self._reason = self._reason or "INPUT_REQUIRED"
        self.texts.append(f"Value null at '{_wire(path)}' failed to satisfy constraint: Member must not be null")

    def raise_any(self) -> None:
        """Raise if there was any.

        Raises
        ------
        ConstraintError
            `ValidationError` with all of them.
        """
        if self.texts:
            noun = "error" if len(self.texts) == 1 else "errors"
            message = f"{len(self.texts)} validation {noun} detected: {'; '.join(self.texts)}"
            raise ConstraintError("ValidationError", message, self._reason)


def _wire(path: str) -> str:
    """The path as AWS writes it: names begin with a small letter."""
    return ".".join(name[:1].lower() + name[1:] for name in path.split("."))


def check(shape: Shape, value: object, path: str, found: Violations) -> None:
    """Collect the violations of a value that a reader has built: types are right, and lists and maps may be empty."""
    match value:
        case str():
            _check_text(shape, value, path, found)
        case bool() | datetime():
            pass
        case int() | float():
            _check_number(shape, value, path, found)
        case list():
            _check_size(shape, len(value), path, found, value)
            for number, item in enumerate(value, 1):
                assert shape.item is not None
                check(shape.item, item, f"{path}.{number}.member" if path else str(number), found)
        case dict() if shape.type == "map":
            _check_size(shape, len(value), path, found, value)
            for key, item in value.items():
                assert shape.item is not None and shape.key is not None
                check(shape.key, key, f"{path}.key", found)
                check(shape.item, item, f"{path}.{key}", found)
        case dict():
            for name in shape.required:
                if name not in value:
                    found.missing(f"{path}.{name}" if path else name)
            for name, item in value.items():
                member = shape.members.get(name)
                if member is not None:
                    check(member.shape, item, f"{path}.{name}" if path else name, found)


def _check_text(shape: Shape, value: str, path: str, found: Violations) -> None:
    if _FORBIDDEN.search(value):
        found.add(shape, path, None, "Member must not contain control characters", "INVALID_PATTERN")
        return
    _check_size(shape, len(value), path, found, value)
    if shape.enum and value not in shape.enum:
        found.add(shape, path, value, f"Member must satisfy enum value set: [{', '.join(sorted(shape.enum))}]", "INVALID_ENUM")
    pattern = shape.compiled
    is_short = len(value) <= max(shape.high or 0, _MAX_MATCHED)  # PERF: a text that is too long anyway is not matched
    if pattern is not None and is_short and not pattern.fullmatch(value):
        found.add(shape, path, value, f"Member must satisfy regular expression pattern: {shape.pattern}", "INVALID_PATTERN")


def _check_size(shape: Shape, size: int, path: str, found: Violations, value: object) -> None:
    if shape.low is not None and size < shape.low:
        found.add(shape, path, value, f"Member must have length greater than or equal to {shape.low}", "MIN_LENGTH_EXCEEDED")
    if shape.high is not None and size > shape.high:
        found.add(shape, path, value, f"Member must have length less than or equal to {shape.high}", "MAX_LENGTH_EXCEEDED")


def _check_number(shape: Shape, value: float, path: str, found: Violations) -> None:
    if shape.low is not None and value < shape.low:
        found.add(shape, path, value, f"Member must have value greater than or equal to {shape.low}", "MIN_VALUE_EXCEEDED")
    if shape.high is not None and value > shape.high:
        found.add(shape, path, value, f"Member must have value less than or equal to {shape.high}", "MAX_VALUE_EXCEEDED")
