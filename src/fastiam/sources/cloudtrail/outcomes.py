"""The outcome of a call in a log, from its error code and message.

Services use a small number of error codes for denied calls. A call with another error was authorised, except if it failed before
authorization, for example by throttling. The message of a denied call often contains the denied action and resource.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from fastiam.model.logged_calls import LoggedOutcome

_DENIED = re.compile(
    r"AccessDenied|UnauthorizedOperation|UnauthorizedAccess|AccessDeniedException|NotAuthorized|AuthorizationError"
    r"|AuthorizationFailure|^Unauthorized$|^Forbidden(?:Exception)?$|^403$",
    re.I,
)
_UNKNOWN = re.compile(
    r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|ServiceUnavailable|InternalError|InternalFailure|InternalService"
    r"|ServerException|InternalServer|RequestTimeout|^503$|^500$|^(?:Server\.)?Unavailable$"
    # the request was not authenticated, or not readable
    r"|ExpiredToken|InvalidClientTokenId|SignatureDoesNotMatch|AuthFailure|UnrecognizedClient|InvalidAccessKeyId"
    r"|MissingAuthenticationToken|^InvalidToken$|InvalidSignature|IncompleteSignature|RequestExpired|Skewed|SerializationException",
    re.I,
)
_REFUSAL = re.compile(  # "User: ... is not authorized to perform: s3:GetObject on resource: "arn:..." because no ..."
    r"User: (?P<user>\S+) is not authorized to perform: (?P<action>[\w-]+:\w+)"
    r"(?: on resource: (?P<resource>.+?)(?= because | with an explicit deny|\. |\.?\s*$))?",
    re.S,
)
_OF_IAM = re.compile(r"(user|role|group|policy|instance profile) /?([\w+=,.@/-]*[\w+=,.@-])")  # the short form in messages of IAM


@dataclass(frozen=True, slots=True)
class Refusal:
    """The principal, action and resource in the message of a denied call. `resource` is "" if the message has none."""

    user: str
    action: str
    resource: str

    def resource_in(self, partition: str, account: str) -> str | None:
        """The resource as an ARN or `*`; None if the text is in no known form."""
        if self.resource == "*" or self.resource.startswith("arn:"):
            return self.resource
        named = _OF_IAM.fullmatch(self.resource)
        return f"arn:{partition}:iam::{account}:{named[1].replace(' ', '-')}/{named[2]}" if named else None


@lru_cache(maxsize=4096)
def refusal_in(message: str) -> Refusal | None:
    """Read an error message; None if it names no action."""
    found = _REFUSAL.search(message)
    return Refusal(found["user"], found["action"], (found["resource"] or "").strip('"')) if found else None


@lru_cache(maxsize=4096)
def logged_of(error: str) -> LoggedOutcome:
    """Return ALLOWED, DENIED, or UNKNOWN if the error is not about policies."""
    if _DENIED.search(error):
        return LoggedOutcome.DENIED
    return LoggedOutcome.UNKNOWN if _UNKNOWN.search(error) else LoggedOutcome.ALLOWED
