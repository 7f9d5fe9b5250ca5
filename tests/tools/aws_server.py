"""A real `fastiam serve` process with the AWS protocols over TLS, and real clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import trustme
from botocore.config import Config
from server_process import Server, running
from sts_fixture import ALL, document

import fastiam
from fastiam.sts import STS, Credentials, Keyring

A = "111111111111"
REGION = "eu-west-1"
SETTINGS = """
[source]
keyring = "keyring"
[listeners.main]
address = "127.0.0.1:0"
protocols = ["aws"]
tls = { certificate = "server.pem", key = "server.key" }
[ops]
enabled = false
[aws]
path = "/"
"""


class AwsServer:
    """The process, its store, and the keys of `admin`, who may do everything.

    Attributes
    ----------
    ca_file : the certificate that clients trust.
    sts : a second process's view of the store.
    """

    def __init__(self, folder: Path, server: Server, sts: STS, admin: Credentials) -> None:
        self.ca_file, self.server, self.sts, self.admin = str(folder / "ca.pem"), server, sts, admin

    @property
    def endpoint(self) -> str:
        """Host and port."""
        return self.server.address()

    def client(self, service: str, keys: Credentials | None = None, config: Config | None = None) -> Any:
        """A boto3 client; by default of `admin`."""
        keys = keys or self.admin
        token = None if keys.session_token is None else str(keys.session_token)
        return boto3.client(
            service,
            endpoint_url=f"https://{self.endpoint}",
            region_name=REGION,
            verify=self.ca_file,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=str(keys.secret_access_key),
            aws_session_token=token,
            config=config,
        )


@contextmanager
def aws_server(folder: Path, settings: str = "") -> Iterator[AwsServer]:
    """A server in a folder; `settings` follow those of the listener."""
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    made.private_key_pem.write_to_path(str(folder / "server.key"))
    for blob in made.cert_chain_pems:
        blob.write_to_path(str(folder / "server.pem"), append=True)
    keyring = Keyring.generate()
    keyring.save(folder / "keyring")
    with fastiam.Directory.open(folder / "store") as directory:
        arn = f"arn:aws:iam::{A}:user/admin"
        directory.add_principal(arn, identity_policies=[document(ALL)])
        sts = STS(directory, keyring)
        admin = sts.keys.create(arn)
        with running(folder, folder / "store", SETTINGS + settings) as server:
            yield AwsServer(folder, server, sts, admin)
