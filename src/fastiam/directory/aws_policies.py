"""Records of the AWS managed policies that the package ships.

A directory has no record of them until one is attached: the write adds it, so that an engine, a store and an export contain the
version that decides, and another release of the package changes no decision.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Mapping
from functools import cache, lru_cache

from fastiam.aws_data import managed_policies
from fastiam.directory.account_records import ManagedPolicy
from fastiam.directory.stored_policies import Reader
from fastiam.directory.unique_ids import POLICY
from fastiam.model.policy import PolicyKind


def is_of_aws(arn: str) -> bool:
    """Whether an ARN is that of a managed policy of AWS. PERF: so that no other ARN makes the file be read."""
    return ":iam::aws:policy/" in arn


@lru_cache(maxsize=2_048)
def aws_policy(arn: str) -> ManagedPolicy | None:
    """The record of an AWS managed policy, or None: the package does not have it."""
    found = managed_policies.find(arn) if is_of_aws(arn) else None
    if found is None:
        return None
    document = Reader("lenient", []).read(found.text, PolicyKind.IDENTITY, arn, arn=arn)  # AWS has accepted it
    return ManagedPolicy(arn, {found.version: document}, found.version, _unique_id(arn))


@cache
def listed_aws_policies() -> Mapping[str, ManagedPolicy]:
    """Records of all AWS managed policies without their documents, by ARN."""
    return {arn: ManagedPolicy(arn, {}, version, _unique_id(arn)) for arn, version in managed_policies.versions().items()}


def _unique_id(arn: str) -> str:
    """An id that is the same in each directory, as AWS's is in each account."""
    return POLICY + b32encode(hashlib.sha256(arn.encode()).digest()).decode()[:17]
