"""The compiled engine: resolution of misses, `Decisions`, engine files."""

from __future__ import annotations


def __getattr__(name: str) -> object:
    if name != "Engine":
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    import warnings
    from importlib import import_module

    warnings.warn("`fastiam.engine.Engine` is now `fastiam.Engine`", DeprecationWarning, stacklevel=2)
    return import_module("fastiam.api.engine").Engine  # by name: no module of this package depends on `api`
