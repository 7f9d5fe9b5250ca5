"""Replaying a log: records a second from files to groups, beside the mere decoding of it.

The log is invented and written as CloudTrail writes it: gzipped files of 2,000 records, 200 roles with sessions of some hundred
calls. `repeated` is what a fleet does all day (lists, describes, decrypts with one key); in `every one new` each call names an
object that no other one names, with parameters of its own: nothing that was understood once serves again. The answers are
checked: the policies allow what the log says, so every call agrees.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import Record, measure

import fastiam
from fastiam.analysis.access.replay import Verdict
from fastiam.sources.cloudtrail.log_records import read_records

ACCOUNT, ROLES, A_FILE = "111111111111", 200, 2_000
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234"
CALLS = [
    ("ec2", "DescribeInstances", {"instancesSet": {}, "filterSet": {}}, None),
    ("s3", "ListBuckets", {"Host": "s3.eu-west-1.amazonaws.com"}, None),
    ("kms", "Decrypt", {"encryptionContext": {"a": "b"}}, [{"ARN": KEY, "accountId": ACCOUNT, "type": "AWS::KMS::Key"}]),
    ("dynamodb", "DescribeTable", {"tableName": "orders"}, None),
]


def role(i: int) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/service-{i % ROLES}"


def records(n: int, *, new: bool) -> Iterator[dict[str, Any]]:
    """So many records."""
    for i in range(n):
        source, name, parameters, listed = CALLS[i % len(CALLS)]
        if new:
            arn = f"arn:aws:s3:::data-{i % 50}/{i:x}/part.parquet"
            source, name, parameters = "s3", "GetObject", {"bucketName": f"data-{i % 50}", "key": f"{i:x}/part.parquet"}
            listed = [
                {"type": "AWS::S3::Object", "ARN": arn},
                {"type": "AWS::S3::Bucket", "ARN": arn.partition("/")[0], "accountId": ACCOUNT},
            ]
        began = f"2026-03-01T{i // 40_000 % 24:02}:00:00Z"
        session = {
            "sessionIssuer": {"type": "Role", "arn": role(i)},
            "attributes": {"creationDate": began, "mfaAuthenticated": "false"},
        }
        arn = role(i).replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + f"/i-{i // 40_000}"
        yield {
            "eventVersion": "1.09",
            "userIdentity": {"type": "AssumedRole", "arn": arn, "accountId": ACCOUNT, "sessionContext": session},
            "eventTime": f"2026-03-01T{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}Z",
            "eventSource": f"{source}.amazonaws.com",
            "eventName": name,
            "awsRegion": "eu-west-1",
            "sourceIPAddress": f"10.0.{i % 7}.{i % 211}",
            "userAgent": "aws-sdk-java/2.25",
            "requestParameters": parameters,
            "responseElements": None,
            "eventID": f"{i:032x}",
            "eventType": "AwsApiCall",
            "resources": listed,
            "recipientAccountId": ACCOUNT,
            "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
        }


def write_log(folder: Path, n: int, *, new: bool) -> Path:
    """A folder of files."""
    folder.mkdir()
    waiting: list[dict[str, Any]] = []
    for i, record in enumerate(records(n, new=new), 1):
        waiting.append(record)
        if len(waiting) == A_FILE or i == n:
            (folder / f"{i:09}.json.gz").write_bytes(gzip.compress(json.dumps({"Records": waiting}).encode(), 6))
            waiting = []
    return folder


def engine() -> fastiam.Engine:
    """Every role may read, and use the key."""
    directory = fastiam.Directory()
    statement = {"Effect": "Allow", "Action": ["ec2:Describe*", "s3:Get*", "s3:List*", "dynamodb:*", "kms:*"], "Resource": "*"}
    for i in range(ROLES):
        directory.add_principal(role(i), identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"}
    directory.add_resource(KEY, account=ACCOUNT, policy={"Version": "2012-10-17", "Statement": trust})
    return directory.compile()


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    record, policies = Record("replay"), engine()
    with tempfile.TemporaryDirectory() as name:
        for form, new in (("repeated", False), ("every one new", True)):
            log = write_log(Path(name, form), rows, new=new)
            trail = fastiam.read_cloudtrail(log, assume_no_session_policies=True)
            found = policies.replay(trail)
            assert found.verdicts == {Verdict.AGREES: rows}, f"wrong: no time for it: {found.verdicts}"
            decoded = measure(lambda log=log: sum(len(part) for _, _, part in read_records([log])), rows, repeats=3)
            record.add("log", "msgspec", f"{form}, decoded", decoded)
            timing = measure(lambda trail=trail: policies.replay(trail), rows, repeats=3)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            record.add("log", "fastiam", f"{form}, replayed", timing, peak_mb=peak)
    record.write()


if __name__ == "__main__":
    main()
