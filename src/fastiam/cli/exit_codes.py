"""Exit codes, the same for every verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # PERF: not every verb decides
    from fastiam.model.decision import Outcome

OK: Final = 0  # allowed, no finding, job done
FAILED: Final = 1  # the verb could not run
DENIED: Final = 2  # denied, or something was found
INVALID: Final = 3  # a policy is rejected
UNKNOWN: Final = 4  # the decision depends on unknown keys
USAGE: Final = 64  # the command line itself is wrong (EX_USAGE)
INTERRUPTED: Final = 130  # as the shell reports SIGINT

OF_OUTCOME: Final = {"ALLOW": OK, "DEPENDS": UNKNOWN, "ERROR": FAILED}


def of_outcome(outcome: Outcome) -> int:
    """The exit code of an outcome; both kinds of denial have the same."""
    return OF_OUTCOME.get(outcome.name, DENIED)
