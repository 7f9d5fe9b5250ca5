"""The outputs of `aws organizations ...` about a small organisation, as files; tests leave some out or change them.

r-abcd ── 999999999999 (management)
  ├── ou-abcd-prod0001 ── ou-abcd-prod0002 ── 111111111111        SCP NoDelete at prod0001
  └── ou-abcd-devs0001 ── 222222222222, 333333333333              RCP NoPut at devs0001; 2 administers IAM
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

MANAGEMENT, A, B, C = "999999999999", "111111111111", "222222222222", "333333333333"
ORGANIZATION, ROOT = "o-abcdefghij", "r-abcd"
PROD, INNER, DEVS = "ou-abcd-prod0001", "ou-abcd-prod0002", "ou-abcd-devs0001"
SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
NO_DELETE = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"}]}
NO_PUT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "*"}],
}
Files = dict[str, Any]


def arn(kind: str, id_: str) -> str:
    return f"arn:aws:organizations::{MANAGEMENT}:{kind}/{ORGANIZATION}/{id_}"


def summary(id_: str, type_: str = SCP, name: str = "") -> dict[str, Any]:
    return {"Id": id_, "Arn": arn("policy", f"x/{id_}"), "Name": name or id_, "Type": type_, "AwsManaged": "Full" in id_}


def account(id_: str, **more: Any) -> dict[str, Any]:
    return {"Id": id_, "Arn": arn("account", id_), "Email": "a@b", "Name": f"name-{id_[0]}", "Status": "ACTIVE"} | more


def unit(id_: str) -> dict[str, Any]:
    return {"Id": id_, "Arn": arn("ou", id_), "Name": id_}


def described(id_: str, type_: str, name: str, document: object) -> dict[str, Any]:
    return {"Policy": {"PolicySummary": summary(id_, type_, name), "Content": json.dumps(document)}}


def outputs() -> Files:
    """Everything, by file name."""
    files: Files = {
        "describe-organization.json": {
            "Organization": {"Id": ORGANIZATION, "MasterAccountArn": arn("account", MANAGEMENT), "MasterAccountId": MANAGEMENT}
        },
        "list-roots.json": {
            "Roots": [
                {"Id": ROOT, "Arn": arn("root", ROOT), "PolicyTypes": [{"Type": t, "Status": "ENABLED"} for t in (SCP, RCP)]}
            ]
        },
        f"list-organizational-units-for-parent-{ROOT}.json": {"OrganizationalUnits": [unit(PROD), unit(DEVS)]},
        f"list-organizational-units-for-parent-{PROD}.json": {"OrganizationalUnits": [unit(INNER)]},
        "list-accounts.json": {"Accounts": [account(id_) for id_ in (MANAGEMENT, A, B, C)]},
        f"list-accounts-for-parent-{ROOT}.json": {"Accounts": [account(MANAGEMENT)]},
        f"list-accounts-for-parent-{INNER}.json": {"Accounts": [account(A)]},
        f"list-accounts-for-parent-{DEVS}.json": {"Accounts": [account(B)]},
        f"list-parents-{C}.json": {"Parents": [{"Id": DEVS, "Type": "ORGANIZATIONAL_UNIT"}]},
        "describe-policy-no-delete.json": described("p-deny0001", SCP, "NoDelete", NO_DELETE),
        "describe-policy-no-put.json": described("p-rcp00001", RCP, "NoPut", NO_PUT),
        "list-delegated-administrators.json": {"DelegatedAdministrators": [{"Id": B, "Arn": arn("account", B)}]},
        f"list-delegated-services-for-account-{B}.json": {"DelegatedServices": [{"ServicePrincipal": "iam.amazonaws.com"}]},
    }
    for element in (ROOT, PROD, INNER, DEVS, MANAGEMENT, A, B, C):
        scps = [summary("p-FullAWSAccess")] + [summary("p-deny0001")] * (element == PROD)
        rcps = [summary("p-RCPFullAWSAccess", RCP)] + [summary("p-rcp00001", RCP)] * (element == DEVS)
        files[f"list-policies-for-target-{element}-scp.json"] = {"Policies": scps}
        files[f"list-policies-for-target-{element}-rcp.json"] = {"Policies": rcps}
    return files


def changed(changes: Files) -> Files:
    """The outputs with some files replaced, added, or with None left out; a name ending in `*` stands for all that begin so."""
    files = copy.deepcopy(outputs())
    for name, content in changes.items():
        if content is None:
            files = {
                file: value for file, value in files.items() if not (file == name or file.startswith(name.rstrip("*") or "?"))
            }
        else:
            files[name] = content
    return files


def put(folder: Path, files: Files) -> Path:
    """The files in a folder; text as it is, all else as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=4))
    return folder
