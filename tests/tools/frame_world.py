"""A small account and its requests, for tests of frames."""

from __future__ import annotations

from typing import Any

import fastiam

ACCOUNT = "111111111111"
READER, WRITER = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("reader", "writer"))
BUCKET = "arn:aws:s3:::data"


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def engine() -> fastiam.Engine:
    """Roles `reader` (GetObject from 10.0.0.0/8, not of secret/) and `writer` (everything with team = data)."""
    directory = fastiam.Directory()
    office = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    team = {"StringEquals": {"aws:RequestTag/team": "data"}}
    directory.add_principal(
        READER,
        identity_policies=[
            _policy(
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*", "Condition": office},
                {"Sid": "NoSecrets", "Effect": "Deny", "Action": "s3:*", "Resource": f"{BUCKET}/secret/*"},
            )
        ],
    )
    directory.add_principal(
        WRITER, identity_policies=[_policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": team})]
    )
    directory.add_resource(BUCKET, account=ACCOUNT)
    return directory.compile()


def requests(rows: int = 12) -> dict[str, list[Any]]:
    """Columns of requests: each outcome occurs, and keys are absent in some rows."""
    ips = ["10.1.2.3", "192.0.2.1", None]
    teams = ["data", None, "web", "data", None]
    return {
        "id": list(range(rows)),
        "principal": [(READER, WRITER)[i % 2] for i in range(rows)],
        "action": [("s3:GetObject", "s3:PutObject", "s3:getobject")[i % 3] for i in range(rows)],
        "resource": [f"{BUCKET}/{'secret/' if i % 7 == 6 else ''}{i}" for i in range(rows)],
        "aws:SourceIp": [ips[i % 3] for i in range(rows)],
        "aws:RequestTag/team": [teams[i % 5] for i in range(rows)],
    }


def expected(asked: fastiam.Engine, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """What `decide_many` says, as columns of Python values."""
    context = {name: values for name, values in columns.items() if ":" in name}
    found = asked.decide_many(columns["principal"], columns["action"], columns["resource"], context, reasons=True)
    return {
        "outcome": [row.outcome.name for row in found],
        "allowed": found.allowed.tolist(),
        "layer": [None if row.layer is None else str(row.layer) for row in found],
        "policy": list(found.policy),
        "sid": list(found.sid),
    }
