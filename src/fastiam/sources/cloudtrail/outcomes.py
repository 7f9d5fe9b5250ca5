"""What a log says became of a call, from its error code.

Services name a refusal in a handful of ways. A call that failed otherwise had been authorised, except where it never came so
far: it was throttled, or the service failed.
"""

from __future__ import annotations

import re
from functools import lru_cache

from fastiam.questions.calls import Logged

_DENIED = re.compile(
    r"AccessDenied|UnauthorizedOperation|UnauthorizedAccess|AccessDeniedException|NotAuthorized|AuthorizationError"
    r"|AuthorizationFailure|^Unauthorized$|^Forbidden(?:Exception)?$|^403$",
    re.I,
)
_UNTOLD = re.compile(
    r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|ServiceUnavailable|InternalError|InternalFailure|InternalService"
    r"|ServerException|InternalServer|RequestTimeout|^503$|^500$|ExpiredToken|InvalidClientTokenId|SignatureDoesNotMatch|AuthFailure",
    re.I,
)


@lru_cache(maxsize=4096)
def logged_of(error: str) -> Logged:
    """ALLOWED, DENIED, or UNKNOWN where the failure says nothing about policies."""
    if _DENIED.search(error):
        return Logged.DENIED
    return Logged.UNKNOWN if _UNTOLD.search(error) else Logged.ALLOWED
