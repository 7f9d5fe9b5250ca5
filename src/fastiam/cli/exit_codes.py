"""Exit codes, the same for every verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # PERF: not every verb decides
    from collections.abc import Collection

    from fastiam.model.decision import Outcome

OK: Final = 0  # allowed, no finding, job done
FAILED: Final = 1  # the verb could not run
DENIED: Final = 2  # denied, or something was found
INVALID: Final = 3  # a policy is rejected
UNKNOWN: Final = 4  # it depends on unknown keys, or nothing was found and something was not checked
USAGE: Final = 64  # the command line itself is wrong (EX_USAGE)
INTERRUPTED: Final = 130  # as the shell reports SIGINT
PIPE_CLOSED: Final = 141  # as the shell reports SIGPIPE

OF_OUTCOME: Final = {"ALLOW": OK, "DEPENDS": UNKNOWN, "ERROR": FAILED}


def of_outcome(outcome: Outcome) -> int:
    """The exit code of an outcome; both kinds of denial have the same."""
    return OF_OUTCOME.get(outcome.name, DENIED)


def of_search(*, is_found: bool, unseen: Collection[str]) -> int:
    """The exit code of a verb that searches: 2 found, 4 nothing found and something was not checked, else 0.

    `unseen` says what was not checked, one fact a line, as `Diff.unseen` does; `console.note_unseen` prints it. `diff`, `prove`,
    `unused` and `escalations` end so. `who-can` has 0 for a principal that can, 2 for none, and 4 for none with `unseen`.
    """
    if is_found:
        return DENIED
    return UNKNOWN if unseen else OK
