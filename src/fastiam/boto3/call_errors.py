"""The errors of calls that cannot be decided. `fastiam.boto3` has them too."""

from __future__ import annotations

from fastiam.errors import FastiamError


class UncheckedCall(FastiamError):
    """A call of an SDK cannot be decided. It is not a `ClientError`, so code that handles denied calls does not catch it."""


class UndecidedCall(UncheckedCall):
    """The outcome of a call depends on what the call does not contain; `depends_on` names it."""

    def __init__(self, message: str, depends_on: tuple[str, ...]) -> None:
        self.depends_on = depends_on
        super().__init__(message)

    def __reduce__(self) -> tuple[type[UndecidedCall], tuple[str, tuple[str, ...]]]:
        return type(self), (str(self), self.depends_on)


class UnmappedCall(UncheckedCall):
    """No requests are known for an operation, or for these parameters of it."""


class UnknownCredentials(UncheckedCall):
    """No principal is known for the credentials of a call."""
