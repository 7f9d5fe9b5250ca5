"""Memoise the pure readers of the specification evaluator, for test runs only.

`fastiam.spec` keeps no state, so it reads each pattern and value again in each decision. Tests decide the same policies millions
of times. A memo of pure functions changes no result. With it, long statement lists take a thirtieth of the time.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Hashable
from functools import lru_cache
from types import ModuleType

import fastiam.spec
from fastiam.model import arn
from fastiam.spec import resource_patterns as resources
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, Truth

# module -> pure functions of hashable arguments
READERS = {
    "actions": ("check_actions", "split_action"),
    "operators": ("read_arn_pattern",),
    "principal_entries": ("read_entry",),
    "resource_patterns": ("read_pattern",),
    "values": ("read_number", "read_bool", "read_binary", "read_date", "read_address", "read_network"),
    "variables": ("read_tokens",),
    "wildcards": ("glob_matches", "read_glob"),
}


SIZE = 32768
NO_KEYS = StatementKeys({}, frozenset(), F)


def memoise() -> None:
    """Replace each reader in every module of `fastiam.spec` that has imported it. A second call has no effect."""
    modules = [importlib.import_module(f"fastiam.spec.{found.name}") for found in pkgutil.iter_modules(fastiam.spec.__path__)]
    for home, names in READERS.items():
        for name in names:
            _replace(modules, name, getattr(importlib.import_module(f"fastiam.spec.{home}"), name))
    if resources.split_arn is arn.split_arn:
        _replace(modules, "split_arn", arn.split_arn)
        _memoise_resources_without_variables()


def _replace(modules: list[ModuleType], name: str, plain: Callable[..., Hashable]) -> None:
    if hasattr(plain, "cache_info"):
        return
    cached = lru_cache(maxsize=SIZE)(plain)
    for module in modules:
        if getattr(module, name, None) is plain:
            setattr(module, name, cached)


def _memoise_resources_without_variables() -> None:
    """An entry of `Resource` without variables reads no keys: its result depends on the entry and the resource alone."""
    plain = resources._check_entry

    @lru_cache(maxsize=SIZE)
    def without_keys(entry: str, resource: str, variables: bool) -> Truth:
        return plain(entry, False, resource, variables, NO_KEYS)

    def check_entry(entry: str, inverted: bool, resource: str, variables: bool, keys: StatementKeys) -> Truth:
        if "${" in entry:
            return plain(entry, inverted, resource, variables, keys)
        return without_keys(entry, resource, variables)

    resources._check_entry = check_entry
