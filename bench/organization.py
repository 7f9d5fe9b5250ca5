"""A generated organisation as the files that people have: an account export each, the outputs of `aws organizations ...`, and
resource policies in our own format.

Seeded: the same numbers always give the same files. 200 accounts of 200 roles and 50 users each, in a tree of five levels of
organisational units; every role has an inline policy and a part of eight shared ones (`examples/acme.py`), every user is in
one or two of five groups, one principal in five has a boundary. SCPs are attached to the root, to every unit and to one account
in five, RCPs to the root and to the units of the second level, policies to fifteen resources of each account.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import acme

MANAGEMENT, ID, ROOT = "999999999999", "o-acmeacme01", "r-acme"
SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
LEVELS, ROLES, USERS = 5, 200, 50
_CREATED = "2024-05-06T07:08:09+00:00"
_TEAMS = ROLES // acme.ROLES_PER_TEAM
Document = acme.Document


class _Acme(acme.Acme):
    """Acme with twenty teams to an account."""

    def account_of(self, team: int) -> str:
        return f"{100_000_000_000 + team // _TEAMS * 1_001:012d}"


class Organization:
    """The organisation; `write` puts its files into a folder."""

    def __init__(self, n_accounts: int = 200, *, seed: int = 1) -> None:
        self.acme = _Acme(n_accounts * ROLES, n_resources=1_000, seed=seed)
        self.random = random.Random(seed)
        self.accounts = [self.acme.account_of(i * _TEAMS) for i in range(n_accounts)]
        self.units: dict[str, str] = {}  # parent by unit
        level = [ROOT]
        for _ in range(LEVELS):
            level = [self._add_unit(parent) for parent in level for _ in range(2)]
        self.places = {account: level[i % len(level)] for i, account in enumerate(self.accounts)} | {MANAGEMENT: ROOT}

    def _add_unit(self, parent: str) -> str:
        unit = f"ou-acme-{len(self.units):08d}"
        self.units[unit] = parent
        return unit

    def write(self, folder: Path) -> None:
        """All files, below `folder`."""
        for account in range(len(self.accounts)):
            _write(folder / "accounts" / f"{self.accounts[account]}.json", self.export(account))
            _write(folder / "resources" / f"{self.accounts[account]}.json", self.resources(account))
        for name, content in self.outputs():
            _write(folder / "organization" / f"{name}.json", content)

    # -- accounts -------------------------------------------------------------------------------------------------------

    def export(self, n: int) -> Document:
        """What `aws iam get-account-authorization-details` gives of the n-th account."""
        account, roles = self.accounts[n], self.acme.roles[n * ROLES : (n + 1) * ROLES]
        own = {f"arn:aws:iam::{account}:policy/Boundary": _BOUNDARY, f"arn:aws:iam::{account}:policy/Team": _team_policy(account)}
        return {
            "UserDetailList": [self._user(account, i) for i in range(USERS)],
            "GroupDetailList": [_group(account, i) for i in range(5)],
            "RoleDetailList": [self._role(account, i, role) for i, role in enumerate(roles)],
            "Policies": [_managed(arn, document) for arn, document in (self.acme.managed | own).items()],
        }

    def _role(self, account: str, i: int, role: acme.Role) -> Document:
        trusted: Document = {"AWS": f"arn:aws:iam::{account}:root"} if i % 3 else {"Service": "lambda.amazonaws.com"}
        attached = [*role.managed, f"arn:aws:iam::{account}:policy/Team"][: 1 + len(role.managed) - i % 2]
        path, _, name = role.arn.partition(":role")[2].rpartition("/")
        return {
            "Path": path + "/", "RoleName": name, "RoleId": f"AROA{account}{i:05d}", "Arn": role.arn, "CreateDate": _CREATED,
            "AssumeRolePolicyDocument": acme.policy([{"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}]),
            "InstanceProfileList": [],
            "RolePolicyList": [{"PolicyName": "Jobs", "PolicyDocument": role.inline}],
            "AttachedManagedPolicies": [_attachment(arn) for arn in attached],
            "Tags": [{"Key": "team", "Value": f"team{role.team}"}, {"Key": "stage", "Value": acme.STAGES[i % 3]}],
            "RoleLastUsed": {"LastUsedDate": _CREATED, "Region": acme.REGIONS[i % 5]},
        } | _bounded(account, i)  # fmt: skip

    def _user(self, account: str, i: int) -> Document:
        groups = [f"Group{n}" for n in sorted({i % 5, self.random.randrange(5)})]
        return {
            "Path": "/people/", "UserName": f"user-{i}", "UserId": f"AIDA{account}{i:05d}",
            "Arn": f"arn:aws:iam::{account}:user/people/user-{i}", "CreateDate": _CREATED, "GroupList": groups,
            "AttachedManagedPolicies": [], "Tags": [{"Key": "team", "Value": f"team{i % 7}"}],
        } | _bounded(account, i)  # fmt: skip

    def resources(self, n: int) -> Document:
        """Ten buckets and five queues of the n-th account, with policies that open them to a partner."""
        account, partner = self.accounts[n], self.accounts[(n + 1) % len(self.accounts)]
        buckets = [f"arn:aws:s3:::acme-team{n * _TEAMS + i}-prod" for i in range(10)]
        queues = [f"arn:aws:sqs:us-east-1:{account}:team{n * _TEAMS + i}-prod-0" for i in range(5)]
        found = [{"arn": arn, "account": account, "policies": [_resource_policy(arn, partner)]} for arn in buckets + queues]
        return {"format": "fastiam-directory", "version": 1, "resources": found}

    # -- the organisation -------------------------------------------------------------------------------------------------

    def outputs(self) -> Iterator[tuple[str, Document]]:
        """The output of each call of `aws organizations ...`, by the name of its file."""
        summary = {"Id": ID, "Arn": _arn("organization", ""), "FeatureSet": "ALL", "MasterAccountId": MANAGEMENT}
        types = [{"Type": type_, "Status": "ENABLED"} for type_ in (SCP, RCP)]
        yield "describe-organization", {"Organization": summary}
        yield "list-roots", {"Roots": [{"Id": ROOT, "Arn": _arn("root", ROOT), "Name": "Root", "PolicyTypes": types}]}
        yield "list-accounts", {"Accounts": list(map(_account, self.places))}
        for parent in (ROOT, *self.units):
            units = [{"Id": unit, "Arn": _arn("ou", unit), "Name": unit} for unit, at in self.units.items() if at == parent]
            yield f"list-organizational-units-for-parent-{parent}", {"OrganizationalUnits": units}
            accounts = [_account(account) for account, at in self.places.items() if at == parent]
            yield f"list-accounts-for-parent-{parent}", {"Accounts": accounts}
        for element in (ROOT, *self.units, *self.places):
            yield f"list-policies-for-target-{element}-scp", {"Policies": [_summary(id_, SCP) for id_ in self._scps(element)]}
            yield f"list-policies-for-target-{element}-rcp", {"Policies": [_summary(id_, RCP) for id_ in self._rcps(element)]}
        for type_, policies in ((SCP, _SCPS), (RCP, _RCPS)):
            for id_, document in policies.items():
                yield (
                    f"describe-policy-{id_}",
                    {"Policy": {"PolicySummary": _summary(id_, type_), "Content": json.dumps(document)}},
                )

    def _scps(self, element: str) -> list[str]:
        number = int(element[-5:]) if element != ROOT else 0
        own = element == ROOT or element in self.units or number % 5 == 0
        return ["p-FullAWSAccess", *[list(_SCPS)[number % len(_SCPS)]] * own]

    def _rcps(self, element: str) -> list[str]:
        own = element == ROOT or self.units.get(self.units.get(element, "")) == ROOT
        return ["p-RCPFullAWSAccess", *[list(_RCPS)[element != ROOT]] * own]


def _write(path: Path, content: Document) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4) + "\n")


def _deny(sid: str, actions: list[str], **more: Any) -> Document:
    return acme.policy([{"Sid": sid, "Effect": "Deny", "Action": actions, "Resource": "*", **more}])


_BOUNDARY = acme.policy([{"Effect": "Allow", "NotAction": ["iam:*", "ec2:Terminate*"], "Resource": "*"}])
_SCPS = {
    "p-scp00000": _deny("NoLogLoss", ["logs:Delete*", "cloudtrail:StopLogging"]),
    "p-scp00001": _deny("NoKeyLoss", ["kms:ScheduleKeyDeletion"]),
    "p-scp00002": _deny(
        "Regions", ["ec2:*", "dynamodb:*"], Condition={"StringEquals": {"aws:RequestedRegion": "ap-southeast-2"}}
    ),
    "p-scp00003": _deny(
        "NoUsers", ["iam:CreateUser"], Condition={"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/admin"}}
    ),
    "p-scp00004": _deny("Root", ["*"], Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:root"}}),
    "p-scp00005": _deny("Buckets", ["s3:DeleteBucket*", "s3:PutBucketPolicy"]),
}
_RCPS = {
    "p-rcp00000": _deny("Tls", ["s3:*", "sqs:*"], Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}}),
    "p-rcp00001": _deny(
        "Ours", ["s3:*"], Principal="*",
        Condition={"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ID}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}},
    ),
}  # fmt: skip


def _team_policy(account: str) -> Document:
    return acme.policy([{"Effect": "Allow", "Action": "sqs:*", "Resource": f"arn:aws:sqs:*:{account}:*"}])


def _resource_policy(arn: str, partner: str) -> Document:
    service = arn.split(":")[2]
    reads = ["s3:GetObject"] if service == "s3" else ["sqs:SendMessage"]
    at = f"{arn}/*" if service == "s3" else arn
    partners = {"AWS": f"arn:aws:iam::{partner}:root"}
    return acme.policy([{"Sid": "Partner", "Effect": "Allow", "Principal": partners, "Action": reads, "Resource": at}])


def _managed(arn: str, document: Document) -> Document:
    name = arn.rpartition("/")[2]
    version = {"Document": document, "VersionId": "v1", "IsDefaultVersion": True, "CreateDate": _CREATED}
    return {
        "PolicyName": name, "PolicyId": f"ANPA{name.upper():0<17}", "Arn": arn, "Path": "/", "DefaultVersionId": "v1",
        "AttachmentCount": 1, "PermissionsBoundaryUsageCount": 0, "IsAttachable": True, "CreateDate": _CREATED,
        "UpdateDate": _CREATED, "PolicyVersionList": [version],
    }  # fmt: skip


def _group(account: str, i: int) -> Document:
    inline = acme.policy([{"Effect": "Allow", "Action": "s3:Get*", "Resource": f"arn:aws:s3:::acme-team{i}-*"}])
    return {
        "Path": "/", "GroupName": f"Group{i}", "GroupId": f"AGPA{account}{i:05d}", "CreateDate": _CREATED,
        "Arn": f"arn:aws:iam::{account}:group/Group{i}",
        "GroupPolicyList": [{"PolicyName": "Reads", "PolicyDocument": inline}],
        "AttachedManagedPolicies": [_attachment(f"arn:aws:iam::{account}:policy/Team")],
    }  # fmt: skip


def _bounded(account: str, i: int) -> Document:
    boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": f"arn:aws:iam::{account}:policy/Boundary"}
    return {"PermissionsBoundary": boundary} if i % 5 == 0 else {}


def _attachment(arn: str) -> Document:
    return {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}


def _arn(kind: str, id_: str) -> str:
    return f"arn:aws:organizations::{MANAGEMENT}:{kind}/{ID}/{id_}".rstrip("/")


def _account(id_: str) -> Document:
    return {"Id": id_, "Arn": _arn("account", id_), "Email": f"{id_}@acme.test", "Name": f"account {id_}", "Status": "ACTIVE"}


def _summary(id_: str, type_: str) -> Document:
    return {"Id": id_, "Arn": _arn("policy", id_), "Name": id_, "Description": "", "Type": type_, "AwsManaged": "Full" in id_}


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    Organization(arguments.accounts, seed=arguments.seed).write(arguments.folder)


if __name__ == "__main__":
    main()
