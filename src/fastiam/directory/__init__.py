"""Directories: records, transactions, and the writes of IAM and Organizations (spec 1.1, 3.1, 6.1, 6.2, 6.10).

`account_model.AccountModel` has the writes. Package `resolve` reads the records and builds profiles.
"""

from __future__ import annotations


def __getattr__(name: str) -> object:
    if name != "Directory":
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    import warnings
    from importlib import import_module

    warnings.warn("`fastiam.directory.Directory` is now `fastiam.Directory`", DeprecationWarning, stacklevel=2)
    return import_module("fastiam.api.directory").Directory  # by name: no module of this package depends on `api`
