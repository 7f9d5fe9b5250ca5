"""Why a protocol refuses a request, or a part of it."""

from __future__ import annotations

from typing import Final, Self

_STATUS: Final = {
    "unmapped_subject": 404,
    "unmapped_action": 404,
    "unmapped_resource": 404,
    "unknown_subject": 404,
    "unknown_resource": 404,
    "type_mismatch": 422,
    "bad_value": 422,
    "conflict": 409,
}


class RequestRefused(Exception):
    """A request as a whole is not one that the protocol answers.

    Attributes
    ----------
    status
        of HTTP.
    code
        of the protocol.
    message
        one line for the client.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)


class MappingError(Exception):
    """A part of a request has the wrong form, or names nothing that can be decided (G63).

    Attributes
    ----------
    code
        a code of meaning (`unmapped_subject`, `bad_value`, ...) or of form (`missing`, `bad_type`, `bad_character`, ...).
    message
        one line that names places of the request, never policies.
    at
        JSON path of the place, `$.subject.id`.
    """

    def __init__(self, code: str, message: str, at: str) -> None:
        self.code, self.message, self.at = code, message, at
        super().__init__(code, message, at)

    def as_value(self) -> Self:
        """This error as a value. It drops its frames, which refer to the engine of the request and to whatever keeps the error:
        a cycle that would keep the policies of an old generation in memory."""
        self.__traceback__ = self.__context__ = None
        return self

    def __str__(self) -> str:
        return f"{self.message} - at `{self.at}`"

    @property
    def status(self) -> int:
        """The status of G63: 400 for a fault of form."""
        return _STATUS.get(self.code, 400)

    @property
    def is_form(self) -> bool:
        """Whether the request itself has the wrong form. Other faults are answers: the request is denied."""
        return self.code not in _STATUS
