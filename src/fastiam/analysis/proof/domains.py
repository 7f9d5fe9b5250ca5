"""The domain of a condition key in a proof: which values requests have."""

from __future__ import annotations

from dataclasses import dataclass

from fastiam.analysis.proof.key_values import KeyTest, KeyValue
from fastiam.spec.three_valued import T


@dataclass(frozen=True, slots=True)
class KeyDomain:
    """The values of a key.

    Attributes
    ----------
    absent, present
        some request is without the key; some request has it.
    forms
        a value that is present passes one of these tests; any value without one.
    spelled_once
        no request has the key in two spellings with different values (C6).
    """

    absent: bool = True
    present: bool = True
    forms: tuple[KeyTest, ...] = ()
    spelled_once: bool = True

    def has(self, one: KeyValue, n_tests: int) -> bool:
        """Whether a value is in the domain. The first `n_tests` of its results are not those of the forms."""
        if one.value is None:
            return self.absent
        if not self.present or one.value.conflict and self.spelled_once:
            return False
        return not self.forms or any(result is T for result in one.results[n_tests:])


FREE = KeyDomain(spelled_once=False)  # any value that an engine accepts
