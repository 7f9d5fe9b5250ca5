"""A directory that allows what a log of CloudTrail shows being allowed, and nothing else: a draft of least privilege.

    python examples/directory_from_log.py LOG... > directory.json
    fastiam replay --policies directory.json LOG...

It is a draft: what a principal may do but did not do while the log was written is not in it, and neither are conditions.
Requests that name no resource are left out and counted, also the passing of a role that is named by an instance profile alone.
Where one call was denied and another one like it was allowed, the draft allows both, and `replay` says that they disagree with
the log.

The draft keeps AWS's quotas (`fastiam.Quotas`), by which `fastiam.load` checks it. Where that allows more than the log shows,
standard error says so: the resources of a principal that has too many become prefixes, and the principals of a trust policy that
is too long become their accounts, so that identity policies alone decide who of them may assume the role.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import fastiam
from fastiam.model.logged_calls import Calls, LoggedOutcome

Granted = dict[str, dict[str, set[str]]]  # a principal or resource to actions, and those to resources or principals
ACCOUNT = 4  # the field of an ARN
PROVIDERS = ("accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com")
QUOTAS = fastiam.Quotas()
EMPTY = len('{"Version": "2012-10-17", "Statement": []}')
MAX_SIZE, MAX_TRUST = QUOTAS.managed_policy_size - EMPTY, QUOTAS.trust_policy_size - EMPTY  # of the statements
MAX_VALUES, MAX_DEPTH = 40, 6  # of one statement; segments of a resource that a prefix keeps


def main() -> None:
    granted, through_resource = defaultdict(lambda: defaultdict(set)), defaultdict(lambda: defaultdict(set))
    callers: set[str] = set()
    owners: dict[str, str] = {}
    left_out = 0
    for calls in fastiam.read_cloudtrail(*sys.argv[1:]):
        callers.update(caller.shown for caller in calls.callers if caller.principal is not None)
        owners.update((bucket_of(arn), owner) for arn, owner in zip(calls.resources, calls.owners, strict=True) if arn and owner)
        left_out += gather(calls, granted, through_resource)
    notes: list[str] = []
    json.dump(directory(callers, granted, through_resource, owners, notes), sys.stdout, indent=2)
    print(
        f"{len(granted):,} principals; {left_out:,} requests name no resource and are left out", *notes, sep="\n", file=sys.stderr
    )


def gather(calls: Calls, granted: Granted, through_resource: Granted) -> int:
    """Enter the requests of allowed calls; how many name no resource."""
    left_out = 0
    for row, call in enumerate(calls.row_call.tolist()):
        caller = calls.callers[calls.caller[call]]
        if calls.logged[call] != LoggedOutcome.ALLOWED or caller.principal is None:
            continue
        action, resource = calls.actions[calls.row_action[row]], calls.resources[row]
        if resource is None:
            left_out += 1
            continue
        own = account_of(caller.shown)
        owner = calls.owners[row] or account_of(resource) or own
        if own:
            granted[caller.shown][action].add(resource)
        if needs_resource_policy(action, resource) or owner != own:
            through_resource[resource][action].add(caller.shown)
    return left_out


def account_of(arn: str) -> str:
    """The account of an ARN, "" for a service or an ARN without one."""
    return arn.split(":")[ACCOUNT] if arn.startswith("arn:") else ""


def needs_resource_policy(action: str, resource: str) -> bool:
    """Whether identity policies alone do not suffice (spec 6.3): for roles and keys."""
    return action.startswith("sts:") and ":role/" in resource or action.startswith("kms:") and ":key/" in resource


def directory(
    callers: Iterable[str], granted: Granted, through_resource: Granted, owners: Mapping[str, str], notes: list[str]
) -> dict[str, Any]:
    """The directory in fastiam's own format; `notes` takes what it allows beyond the log, and why."""
    managed: list[dict[str, Any]] = []
    users: dict[str, dict[str, Any]] = {}
    roles: dict[str, dict[str, Any]] = {}
    resources = []
    for arn in sorted(callers):
        kinds = roles if ":role/" in arn else users if ":user/" in arn else None
        if kinds is not None:
            own = managed_policies(arn, fitting(arn, granted.get(arn, {}), notes), len(managed))
            managed += own
            kinds[arn] = {"arn": arn, "attached_policies": [policy["arn"] for policy in own]}
    for arn, actions in sorted(through_resource.items()):
        if arn.startswith("arn:") and ":role/" in arn:
            role = roles.setdefault(arn, {"arn": arn})
            role["trust_policy"] = document(trusting(arn, actions, notes))
        elif arn.startswith("arn:"):
            governing = bucket_of(arn)
            owner = owners.get(governing) or account_of(arn)
            account = {"account": owner} if owner else {}
            resources.append({"arn": governing, **account, "policies": [document(allow(actions, "Principal", arn))]})
    accounts = sorted({account_of(arn) for arn in (*users, *roles)} - {""})
    return {
        "format": "fastiam-directory",
        "version": 1,
        "accounts": [{"id": id_} for id_ in accounts],
        "managed_policies": managed,
        "users": list(users.values()),
        "roles": list(roles.values()),
        "resources": joined(resources),
    }


def fitting(arn: str, actions: Mapping[str, set[str]], notes: list[str]) -> list[list[dict[str, Any]]]:
    """The statements of a principal by managed policy, no more of these than may be attached."""
    most = QUOTAS.managed_policies_per_role if ":role/" in arn else QUOTAS.managed_policies_per_user
    parts = packed(allow(actions, "Resource"))
    for depth in range(MAX_DEPTH, -1, -1):
        if len(parts) <= most:
            break
        if depth == MAX_DEPTH:
            notes.append(f"{arn}: too many resources for {most} policies; those of busy actions are allowed by prefix")
        parts = packed(allow({name: by_prefix(values, depth) for name, values in actions.items()}, "Resource"))
    return parts


def by_prefix(resources: set[str], depth: int) -> set[str]:
    """Many resources as the prefixes of so many segments that they have; few ones as they are."""
    return {prefix_of(resource, depth) for resource in resources} if len(resources) > MAX_VALUES else resources


def prefix_of(resource: str, depth: int) -> str:
    *fields, rest = resource.split(":", 5)
    segments = rest.split("/")
    return resource if len(segments) <= depth or len(fields) < 5 else ":".join([*fields, "/".join([*segments[:depth], "*"])])


def packed(statements: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The statements in as many parts as their size asks for."""
    parts: list[list[dict[str, Any]]] = [[]]
    size = 0
    for statement in (part for whole in statements for part in halved(whole)):
        more = len(json.dumps(statement)) + 2
        if size + more > MAX_SIZE and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(statement)
        size += more
    return [part for part in parts if part]


def halved(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A statement in parts that a policy can hold, by its actions, then by its resources."""
    longest = max(("Action", "Resource"), key=lambda element: len(json.dumps(statement[element])))
    values = statement[longest]
    if len(json.dumps(statement)) + 2 <= MAX_SIZE or len(values) == 1:
        yield statement
    else:
        for half in (values[: len(values) // 2], values[len(values) // 2 :]):
            yield from halved({**statement, longest: half})


def managed_policies(arn: str, parts: list[list[dict[str, Any]]], number: int) -> list[dict[str, Any]]:
    """The parts as managed policies; the number distinguishes principals with equal short names."""
    _, _, _, _, account, name = arn.split(":", 5)
    path = f"arn:aws:iam::{account}:policy/from-log/{name.replace('/', '-')[:100]}"
    return [{"arn": f"{path}-{i}", "document": document(part)} for i, part in enumerate(parts, number)]


def trusting(arn: str, actions: Mapping[str, set[str]], notes: list[str]) -> list[dict[str, Any]]:
    """The statements of a trust policy."""
    statements = allow(actions, "Principal")
    if len(json.dumps(statements)) <= MAX_TRUST:
        return statements
    notes.append(f"{arn}: too many principals for a trust policy; it trusts their accounts")
    return allow({name: set(map(account_principal, values)) for name, values in actions.items()}, "Principal")


def account_principal(name: str) -> str:
    """The account of a user or role, which trusts those whose own policies allow the call; other principals as they are."""
    is_entity = ":user/" in name or ":role/" in name
    return f"{name.partition(':iam:')[0]}:iam::{account_of(name)}:root" if is_entity else name


def allow(actions: Mapping[str, set[str]], element: str, resource: str = "") -> list[dict[str, Any]]:
    """Statements that allow each action on its resources, or to its principals; actions with the same ones share one."""
    actions_of: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for action, values in sorted(actions.items()):
        whole = sorted(values)
        for start in range(0, len(whole), MAX_VALUES):
            actions_of[tuple(whole[start : start + MAX_VALUES])].append(action)
    about = {"Resource": resource} if resource else {}
    return [
        {"Effect": "Allow", "Action": names, **about, element: principals(values) if element == "Principal" else list(values)}
        for values, names in actions_of.items()
    ]


def principals(names: Iterable[str]) -> dict[str, list[str]]:
    """The principal element that names users, roles, services, providers and unsigned callers."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        is_provider = name in PROVIDERS or ":oidc-provider/" in name or ":saml-provider/" in name
        is_aws = name == "*" or name.startswith("arn:")
        found["Federated" if is_provider else "AWS" if is_aws else "Service"].append(name)
    return dict(found)


def document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def bucket_of(arn: str) -> str:
    """Return the governing resource: of an object the bucket (spec 6.10)."""
    return arn.partition("/")[0] if arn.split(":")[2] == "s3" and not account_of(arn) else arn


def joined(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record for each governing resource."""
    found: dict[str, dict[str, Any]] = {}
    for record in resources:
        if record["arn"] in found:
            found[record["arn"]]["policies"] += record["policies"]
        else:
            found[record["arn"]] = record
    return list(found.values())


if __name__ == "__main__":
    main()
