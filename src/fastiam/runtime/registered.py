"""What the packages of identity register: record stores of the directory, and verbs of the command line.

`credentials.registration` has only names. No caller imports these packages for it, and everything else works without them.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_PACKAGE = "fastiam.credentials"


@cache
def registered(kind: str) -> Any:
    """Return what is registered under the name of a constant; empty if the packages are not there."""
    return () if find_spec(_PACKAGE) is None else getattr(import_module(f"{_PACKAGE}.registration"), kind)
