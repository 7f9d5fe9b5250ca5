"""fastiam: an exact AWS IAM policy decision point.

Names are imported when they are first asked for, so that `import fastiam` costs next to nothing and a program that
only decides never loads what reads policies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastiam.account.quotas import Quotas
    from fastiam.account.readers import Attachments, PolicyDocument
    from fastiam.account.records import Account, Endpoint, Entity, Group, ManagedPolicy, Resource
    from fastiam.bulk import Decisions, DictionaryColumn, RowDecision, Summary
    from fastiam.directory import Directory
    from fastiam.engine import Engine
    from fastiam.errors import (
        DirectoryError,
        FastiamError,
        Finding,
        Findings,
        LimitError,
        PolicyError,
        RequestValueError,
        Severity,
        ShapeError,
        SourceError,
        StoreError,
    )
    from fastiam.live import LiveEngine
    from fastiam.model import (
        ConditionEntry,
        Decision,
        Effect,
        Explanation,
        Layer,
        LayerResult,
        MatchClass,
        MatchedStatement,
        NearMiss,
        OpenStatement,
        Outcome,
        PolicyKind,
        Reason,
        StatementRef,
    )
    from fastiam.profile import PrincipalKind, Settings
    from fastiam.questions.calls import Calls, Logged
    from fastiam.questions.diff import Diff, diff
    from fastiam.questions.flips import Change, DiffGroup
    from fastiam.questions.grants import Grant, Limit, Part
    from fastiam.questions.replay import Replay, ReplayGroup, Verdict
    from fastiam.questions.what import Doable
    from fastiam.questions.who import Caller, Callers
    from fastiam.session import Session
    from fastiam.simulation import simulate
    from fastiam.sources import load, read_cloudtrail
    from fastiam.sources.cloudtrail.reader import CloudTrail

__version__ = "0.1.0"

__all__ = [
    "Account",
    "Attachments",
    "Caller",
    "Callers",
    "Calls",
    "Change",
    "CloudTrail",
    "ConditionEntry",
    "Decision",
    "Decisions",
    "DictionaryColumn",
    "Diff",
    "DiffGroup",
    "Directory",
    "DirectoryError",
    "Doable",
    "Effect",
    "Endpoint",
    "Engine",
    "Entity",
    "Explanation",
    "FastiamError",
    "Finding",
    "Findings",
    "Grant",
    "Group",
    "Layer",
    "LayerResult",
    "Limit",
    "LimitError",
    "LiveEngine",
    "Logged",
    "ManagedPolicy",
    "MatchClass",
    "MatchedStatement",
    "NearMiss",
    "OpenStatement",
    "Outcome",
    "Part",
    "PolicyDocument",
    "PolicyError",
    "PolicyKind",
    "PrincipalKind",
    "Quotas",
    "Reason",
    "Replay",
    "ReplayGroup",
    "RequestValueError",
    "Resource",
    "RowDecision",
    "Session",
    "Settings",
    "Severity",
    "ShapeError",
    "SourceError",
    "StatementRef",
    "StoreError",
    "Summary",
    "Verdict",
    "__version__",
    "diff",
    "load",
    "read_cloudtrail",
    "simulate",
]

_HOMES = {
    "account.quotas": ("Quotas",),
    "account.readers": ("Attachments", "PolicyDocument"),
    "account.records": ("Account", "Endpoint", "Entity", "Group", "ManagedPolicy", "Resource"),
    "bulk": ("Decisions", "DictionaryColumn", "RowDecision", "Summary"),
    "directory": ("Directory",),
    "engine": ("Engine",),
    "errors": (
        "DirectoryError",
        "FastiamError",
        "Finding",
        "Findings",
        "LimitError",
        "PolicyError",
        "RequestValueError",
        "Severity",
        "ShapeError",
        "SourceError",
        "StoreError",
    ),
    "live": ("LiveEngine",),
    "model": (
        "ConditionEntry",
        "Decision",
        "Effect",
        "Explanation",
        "Layer",
        "LayerResult",
        "MatchClass",
        "MatchedStatement",
        "NearMiss",
        "OpenStatement",
        "Outcome",
        "PolicyKind",
        "Reason",
        "StatementRef",
    ),
    "profile": ("PrincipalKind", "Settings"),
    "questions.calls": ("Calls", "Logged"),
    "questions.diff": ("Diff", "diff"),
    "questions.flips": ("Change", "DiffGroup"),
    "questions.grants": ("Grant", "Limit", "Part"),
    "questions.replay": ("Replay", "ReplayGroup", "Verdict"),
    "questions.what": ("Doable",),
    "questions.who": ("Caller", "Callers"),
    "session": ("Session",),
    "simulation": ("simulate",),
    "sources": ("load", "read_cloudtrail"),
    "sources.cloudtrail.reader": ("CloudTrail",),
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
