"""The files that the command lines of the documentation name, made from the example data."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path
from typing import Any

import organization_files
from cloudtrail_records import record, user, write_log

import fastiam

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "111111111111"
LEA = f"arn:aws:iam::{ACCOUNT}:user/lea"
READ_REPORTS = f"arn:aws:iam::{ACCOUNT}:policy/ReadReports"


def document(**statement: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def write_page_files(folder: Path) -> None:
    """Write every file that a page names into an empty folder."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    account = json.loads((ROOT / "examples/account.json").read_text())
    read, everything = document(Action="s3:GetObject", Resource="*"), document(Action="*", Resource="*")
    write(folder / "account.json", account)
    write(folder / "before.json", account)
    account["UserDetailList"][0]["UserPolicyList"] = [{"PolicyName": "All", "PolicyDocument": everything}]
    write(folder / "after.json", account)
    for name, source in (("main", "before"), ("branch", "after")):
        write(folder / name / "account.json", (folder / f"{source}.json").read_text())
    fastiam.load(folder / "account.json").compile().save(folder / "e.fastiam")
    _write_requests(folder)
    _write_policies(folder, read)
    _write_plans(folder, read)
    _write_log(folder)
    _write_certificate(folder / "root.pem")
    write(folder / "serve.toml", '[source]\npaths = ["account.json"]\n')


def _write_policies(folder: Path, read: dict[str, Any]) -> None:
    write(folder / "policies.json", json.loads((folder / "account.json").read_text()))
    for name in ("policy", "role", "own", "ana", "app", "root", "unit", "extra", "policies/a", "organisation/scps/a"):
        write(folder / f"{name}.json", read)
    trust = document(Action="sts:AssumeRole", Principal={"AWS": ACCOUNT})
    write(folder / "trust.json", trust)
    for name, output in organization_files.outputs().items():
        write(folder / "organization" / name, output)
    write(folder / "password.txt", "Correct-horse-7")


def _write_requests(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = pa.table(
        {
            "principal": [LEA] * 2,
            "action": ["s3:GetObject", "s3:PutObject"],
            "resource": ["arn:aws:s3:::reports/may.csv"] * 2,
            "source_ip": ["198.51.100.7"] * 2,
            "region": ["eu-west-1", "eu-west-2"],
            "day": ["1", "1"],
        }
    )
    parquet.write_table(table.select(["principal", "action", "resource"]), folder / "sample.parquet")
    for name in ("requests.parquet", "logs/1/a.parquet", "logs/2/b.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, folder / name)


def _write_plans(folder: Path, read: dict[str, Any]) -> None:
    values = {"name": "ReadReports", "arn": READ_REPORTS, "path": "/", "policy": json.dumps(read)}
    before = values | {"policy": json.dumps(document(Action="s3:ListBucket", Resource="*"))}
    change = {"actions": ["update"], "before": before, "after": values, "after_unknown": {}}
    resource = {"address": "aws_iam_policy.read", "mode": "managed", "type": "aws_iam_policy", "name": "read", "change": change}
    provider = {"provider_name": "registry.terraform.io/hashicorp/aws"}
    write(
        folder / "plan.json", {"format_version": "1.2", "terraform_version": "1.9.0", "resource_changes": [resource | provider]}
    )
    old, new = (
        {"Properties": {"ManagedPolicyName": "ReadReports", "PolicyDocument": json.loads(one["policy"])}}
        for one in (before, values)
    )
    for name, one in (("old.yaml", old), ("deployed.json", old), ("new.yaml", new), ("template.yaml", new)):
        write(folder / name, {"Resources": {"Read": {"Type": "AWS::IAM::ManagedPolicy", **one}}})
    physical = {"LogicalResourceId": "Read", "PhysicalResourceId": READ_REPORTS, "ResourceType": "AWS::IAM::ManagedPolicy"}
    write(folder / "resources.json", {"StackResourceSummaries": [physical]})


def _write_log(folder: Path) -> None:
    call = record("s3:GetObject", user(LEA), {"bucketName": "reports", "key": "may.csv"}, eventTime="2026-10-01T09:00:00Z")
    for name in ("cloudtrail", "AWSLogs"):
        (folder / name).mkdir()
        write_log(folder / name / "log.json", call)


def _write_certificate(path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "corp")])
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
