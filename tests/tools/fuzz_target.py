"""The base class of the targets of `fuzz_readers.py`."""

from __future__ import annotations

import time
import traceback
from abc import ABC, abstractmethod

MAX_SECONDS = 1.0  # of CPU time


class FindingError(Exception):
    """A result that the fuzzer searches for."""


class Target(ABC):
    """One reader with its seeds. `forms` says how each kind of input is mutated: `xml`, `json`, `der` or `bytes`."""

    forms: dict[str, str]
    seeds: list[bytes]

    @abstractmethod
    def read(self, kind: str, data: bytes) -> bool:
        """Whether an input is accepted. A refusal raises."""

    def __call__(self, data: bytes) -> bool:
        """Whether an input is accepted; False for a refusal.

        Raises
        ------
        FindingError: what must not be.
        """
        from fastiam.federation.xml_reading import XmlError
        from fastiam.sts import StsError

        kind = chr(data[0]) if data else ""
        if kind not in self.forms:
            return False
        began = time.process_time()
        try:
            is_accepted = self.read(kind, data[1:])
        except (StsError, XmlError):
            is_accepted = False
        except (FindingError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # panics of Rust code are not of `Exception`
            raise FindingError(f"not a documented error:\n{''.join(traceback.format_exception(error))}") from error
        took = time.process_time() - began
        if took > MAX_SECONDS:
            raise FindingError(f"{took:.1f} s for {len(data):,} bytes")
        return is_accepted


def require(is_true: bool, what: str) -> None:
    """Report an accepted mutation."""
    if not is_true:
        raise FindingError(f"accepted mutation: {what}")
