"""Memoise the pure readers of the specification evaluator, for test runs only.

`fastiam.spec` keeps no state, so it reads each pattern and value again in each decision. Tests decide the same policies millions
of times. A memo of pure functions changes no result. With it, long statement lists take a thirtieth of the time.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache

import fastiam.spec

# module -> pure functions of hashable arguments
READERS = {
    "actions": ("_check_entry", "split_action"),
    "operators": ("read_arn_pattern",),
    "principals": ("read_entry",),
    "resources": ("read_pattern",),
    "values": ("read_number", "read_bool", "read_binary", "read_date", "read_address", "read_network"),
    "variables": ("read_tokens",),
    "wildcards": ("glob_matches", "read_glob"),
}


def memoise() -> None:
    """Replace each reader in every module of `fastiam.spec` that has imported it. A second call has no effect."""
    modules = [importlib.import_module(f"fastiam.spec.{found.name}") for found in pkgutil.iter_modules(fastiam.spec.__path__)]
    for home, names in READERS.items():
        for name in names:
            plain = getattr(importlib.import_module(f"fastiam.spec.{home}"), name)
            if hasattr(plain, "cache_info"):
                continue
            cached = lru_cache(maxsize=32768)(plain)
            for module in modules:
                if getattr(module, name, None) is plain:
                    setattr(module, name, cached)
