"""fastiam: an exact AWS IAM policy decision point.

Names are imported when they are first asked for, so that `import fastiam` costs next to nothing and a program that
only decides never loads what reads policies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastiam.account.quotas import Quotas
    from fastiam.bulk import Decisions
    from fastiam.directory import Directory
    from fastiam.engine import Engine
    from fastiam.errors import (
        DirectoryError,
        FastiamError,
        Finding,
        LimitError,
        PolicyError,
        RequestValueError,
        Severity,
        ShapeError,
        SourceError,
        StoreError,
    )
    from fastiam.live import LiveEngine
    from fastiam.model import Decision, Effect, Explanation, Layer, Outcome, PolicyKind, StatementRef
    from fastiam.profile import PrincipalKind, Settings
    from fastiam.questions.diff import Diff, diff
    from fastiam.session import Session
    from fastiam.simulation import simulate
    from fastiam.sources import load, read_cloudtrail

__version__ = "0.1.0"

__all__ = [
    "Decision",
    "Decisions",
    "Diff",
    "Directory",
    "DirectoryError",
    "Effect",
    "Engine",
    "Explanation",
    "FastiamError",
    "Finding",
    "Layer",
    "LimitError",
    "LiveEngine",
    "Outcome",
    "PolicyError",
    "PolicyKind",
    "PrincipalKind",
    "Quotas",
    "RequestValueError",
    "Session",
    "Settings",
    "Severity",
    "ShapeError",
    "SourceError",
    "StatementRef",
    "StoreError",
    "__version__",
    "diff",
    "load",
    "read_cloudtrail",
    "simulate",
]

_HOMES = {
    "account.quotas": ("Quotas",),
    "bulk": ("Decisions",),
    "directory": ("Directory",),
    "engine": ("Engine",),
    "errors": (
        "DirectoryError",
        "FastiamError",
        "Finding",
        "LimitError",
        "PolicyError",
        "RequestValueError",
        "Severity",
        "ShapeError",
        "SourceError",
        "StoreError",
    ),
    "live": ("LiveEngine",),
    "model": ("Decision", "Effect", "Explanation", "Layer", "Outcome", "PolicyKind", "StatementRef"),
    "profile": ("PrincipalKind", "Settings"),
    "questions.diff": ("Diff", "diff"),
    "session": ("Session",),
    "simulation": ("simulate",),
    "sources": ("load", "read_cloudtrail"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module `fastiam` has no attribute `{name}`")
    value = getattr(import_module(f"fastiam.{home}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
