"""fastiam: an exact AWS IAM policy decision point.

Names are imported when they are first asked for, so that `import fastiam` costs next to nothing and a program that
only decides never loads what reads policies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastiam.analysis.access.decision_changes import Change, DiffGroup
    from fastiam.analysis.access.diff import diff
    from fastiam.analysis.access.diff_result import Diff
    from fastiam.analysis.access.grants import Grant, GrantStatement, Limit
    from fastiam.analysis.access.replay import Replay, ReplayGroup, Verdict
    from fastiam.analysis.access.unused_access import Unused
    from fastiam.analysis.access.what_can import AllowedAction
    from fastiam.analysis.access.who_can import PrincipalAccess, WhoCanResult
    from fastiam.analysis.escalation.paths import EscalationPath, EscalationStep
    from fastiam.analysis.filter import Filter
    from fastiam.analysis.invariants.model import Invariant, InvariantOutcome, InvariantResult
    from fastiam.analysis.invariants.prove_invariant import prove_invariant
    from fastiam.analysis.lint.document import lint
    from fastiam.analysis.proof.candidate_requests import ProofRequest
    from fastiam.analysis.proof.prove import access_not_granted, no_new_access
    from fastiam.analysis.proof.public import not_public
    from fastiam.analysis.proof.result import Proof, ProofResult
    from fastiam.api.directory import Directory
    from fastiam.api.engine import Engine
    from fastiam.api.loading import load
    from fastiam.api.planned_changes import PlannedChange, Undecided, read_change
    from fastiam.api.suggestion import Suggestion, suggest_policy
    from fastiam.aws_data.catalog import AwsData
    from fastiam.directory.account_records import Account, Endpoint, Entity, Group, ManagedPolicy, Resource
    from fastiam.directory.quotas import Quotas
    from fastiam.directory.readers import Attachments, PolicyDocument
    from fastiam.engine.decisions import Decisions, DictionaryColumn, RowDecision
    from fastiam.engine.summary import Summary, UnreadableValues
    from fastiam.errors import (
        DirectoryError,
        FastiamError,
        Finding,
        Findings,
        LimitError,
        MissingPackageError,
        NotExpressible,
        PolicyError,
        RequestValueError,
        Severity,
        ShapeError,
        SourceError,
        StoreError,
    )
    from fastiam.frames import Lit, Table, lit
    from fastiam.live import LiveEngine
    from fastiam.model.decision import Decision, Layer, MatchClass, Outcome, Reason, StatementRef
    from fastiam.model.explanation import Explanation, LayerResult, MatchedStatement, NearMiss, ResidualStatement
    from fastiam.model.logged_calls import Calls, LoggedOutcome
    from fastiam.model.policy import ConditionEntry, Effect, PolicyKind
    from fastiam.model.profile import PrincipalKind, Settings
    from fastiam.model.session import Session
    from fastiam.shared_engine import SharedEngine
    from fastiam.simulation.simulate import simulate
    from fastiam.sources import read_cloudtrail
    from fastiam.sources.cloudtrail.reader import CloudTrail

__version__ = "0.1.0"

__all__ = [
    "Account",
    "Attachments",
    "AwsData",
    "PrincipalAccess",
    "WhoCanResult",
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
    "AllowedAction",
    "Effect",
    "Endpoint",
    "Engine",
    "Entity",
    "EscalationPath",
    "EscalationStep",
    "Explanation",
    "FastiamError",
    "Filter",
    "Finding",
    "Findings",
    "Grant",
    "Group",
    "Invariant",
    "InvariantOutcome",
    "InvariantResult",
    "Layer",
    "LayerResult",
    "Limit",
    "LimitError",
    "Lit",
    "LiveEngine",
    "LoggedOutcome",
    "ManagedPolicy",
    "MatchClass",
    "MatchedStatement",
    "MissingPackageError",
    "NearMiss",
    "NotExpressible",
    "ResidualStatement",
    "Outcome",
    "GrantStatement",
    "PlannedChange",
    "PolicyDocument",
    "PolicyError",
    "PolicyKind",
    "PrincipalKind",
    "Proof",
    "ProofRequest",
    "ProofResult",
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
    "SharedEngine",
    "SourceError",
    "StatementRef",
    "StoreError",
    "Suggestion",
    "Summary",
    "Table",
    "Undecided",
    "UnreadableValues",
    "Unused",
    "Verdict",
    "__version__",
    "access_not_granted",
    "diff",
    "lint",
    "lit",
    "load",
    "no_new_access",
    "not_public",
    "prove_invariant",
    "read_change",
    "read_cloudtrail",
    "simulate",
    "suggest_policy",
]

_HOMES = {
    "directory.quotas": ("Quotas",),
    "directory.readers": ("Attachments", "PolicyDocument"),
    "directory.account_records": ("Account", "Endpoint", "Entity", "Group", "ManagedPolicy", "Resource"),
    "engine.decisions": ("Decisions", "DictionaryColumn", "RowDecision"),
    "engine.summary": ("Summary", "UnreadableValues"),
    "frames": ("Lit", "Table", "lit"),
    "api.directory": ("Directory",),
    "api.engine": ("Engine",),
    "api.suggestion": ("Suggestion", "suggest_policy"),
    "errors": (
        "DirectoryError",
        "FastiamError",
        "Finding",
        "Findings",
        "LimitError",
        "MissingPackageError",
        "NotExpressible",
        "PolicyError",
        "RequestValueError",
        "Severity",
        "ShapeError",
        "SourceError",
        "StoreError",
    ),
    "live": ("LiveEngine",),
    "model.decision": ("Decision", "Layer", "MatchClass", "Outcome", "Reason", "StatementRef"),
    "model.explanation": ("Explanation", "LayerResult", "MatchedStatement", "NearMiss", "ResidualStatement"),
    "model.policy": ("ConditionEntry", "Effect", "PolicyKind"),
    "model.profile": ("PrincipalKind", "Settings"),
    "model.logged_calls": ("Calls", "LoggedOutcome"),
    "analysis.access.diff": ("diff",),
    "analysis.access.diff_result": ("Diff",),
    "analysis.lint.document": ("lint",),
    "aws_data.catalog": ("AwsData",),
    "analysis.access.decision_changes": ("Change", "DiffGroup"),
    "analysis.escalation.paths": ("EscalationPath", "EscalationStep"),
    "analysis.filter": ("Filter",),
    "analysis.access.grants": ("Grant", "Limit", "GrantStatement"),
    "analysis.invariants.model": ("Invariant", "InvariantOutcome", "InvariantResult"),
    "analysis.invariants.prove_invariant": ("prove_invariant",),
    "analysis.proof.prove": ("access_not_granted", "no_new_access"),
    "analysis.proof.public": ("not_public",),
    "analysis.proof.candidate_requests": ("ProofRequest",),
    "analysis.proof.result": ("Proof", "ProofResult"),
    "analysis.access.replay": ("Replay", "ReplayGroup", "Verdict"),
    "analysis.access.unused_access": ("Unused",),
    "analysis.access.what_can": ("AllowedAction",),
    "analysis.access.who_can": ("PrincipalAccess", "WhoCanResult"),
    "model.session": ("Session",),
    "shared_engine": ("SharedEngine",),
    "simulation.simulate": ("simulate",),
    "api.loading": ("load",),
    "sources": ("read_cloudtrail",),
    "sources.cloudtrail.reader": ("CloudTrail",),
    "api.planned_changes": ("PlannedChange", "Undecided", "read_change"),
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
