"""`fastiam serve --check`: it refuses what a start refuses, and changes nothing (G189)."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from authzen_fixture import TOML, directory
from click.testing import CliRunner, Result

from fastiam import Directory
from fastiam.cli.verbs.serve import command
from fastiam.sts import Keyring

LOCAL = '[listeners.main]\naddress = "127.0.0.1:0"\n'
ENVOY = """
[extauthz]
principal = ["anonymous"]
[[extauthz.route]]
prefix = "/"
api = "arn:aws:execute-api:eu-west-1:111111111111:a/b"
"""


FILE = "policies.json"


def checked(folder: Path, settings: str, source: str = "policies.json") -> Result:
    (folder / "policies.json").write_text(directory().to_json())
    (folder / "broken.json").write_text('{"format": "fastiam-directory", "version": 1, "accounts": [{"id": "x"}]}')
    file = folder / "serve.toml"
    file.write_text(settings)
    file.chmod(0o600)
    arguments = ["--check", str(folder / source), "--config", str(file)]
    return CliRunner().invoke(command, arguments, standalone_mode=False)


# settings, source, and what the message has
REFUSED = {
    "template": ('[authzen.subjects.user]\nprincipal = "arn:aws:iam::111111111111:user/{name}"', FILE, "not a placeholder"),
    "no source": ("", "nothing.json", "nothing.json"),
    "source that is not a policy": ('[source]\nmode = "strict"', "broken.json", "not an account id"),
    "protocol without a store": ("[aws]", FILE, "need a store and its keyring"),
    "keyring": ('[source]\nkeyring = "/nothing/keyring"', FILE, "is not a store"),
    "two protocols with one path": ('[opa]\ndefault_decision = "a"\n[opa.paths.b]', FILE, "`a` is not configured"),
    "TLS": (LOCAL + 'tls = {certificate = "/nothing.pem", key = "/nothing.key"}', FILE, "tls of `/nothing.pem`"),
    "owner of a socket": ('[listeners.main]\naddress = "unix:/tmp/x.sock"\nowner = "absent-user"', FILE, "absent-user"),
    "TLS of gRPC": (
        ENVOY + '[extauthz.grpc.tls]\ncertificate = "/nothing.pem"\nkey = "/nothing.key"\n', FILE, "tls of `/nothing.pem`"
    ),
    "source of Envoy": (ENVOY.replace("anonymous", "sigv4"), FILE, "`sigv4` needs a store"),
    "decision log": ('[decision_log]\npath = "/nothing/log"', FILE, "decision_log: /nothing/log"),
    "audit log": ('[audit_log]\npath = "/nothing/log"', FILE, "audit_log: /nothing/log"),
}  # fmt: skip


@pytest.mark.parametrize("settings, source, message", REFUSED.values(), ids=REFUSED)
def test_check_refuses_what_a_start_refuses(tmp_path: Path, settings: str, source: str, message: str) -> None:
    result = checked(tmp_path, settings, source)
    assert result.return_value == 64 and message in result.stderr and not result.stdout


def test_check_prints_the_configuration_and_changes_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        logs = f'[decision_log]\npath = "{tmp_path}/log"\n[audit_log]\npath = "{tmp_path}/audit"\n'
        envoy = ENVOY.replace("[extauthz]", "[extauthz]\ndry_run = true")
        settings = f'{TOML}{envoy}{logs}[listeners.main]\naddress = "127.0.0.1:{port}"\n'
        result = checked(tmp_path, settings)
    assert result.return_value == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["listeners"]["main"]["address"] == f"127.0.0.1:{port}" and printed["authzen"]["subjects"]["user"]["known"]
    assert "warning: extauthz is a dry run: every request passes" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.json", FILE, "serve.toml"]


def test_check_opens_a_store_with_its_keyring(tmp_path: Path) -> None:
    keyring = tmp_path / "keyring"
    Keyring.generate().save(keyring)
    Directory.open(tmp_path / "store").close()
    settings = f'[source]\nkeyring = "{keyring}"\n[aws]\n'
    assert checked(tmp_path, settings, "store").return_value == 0
    assert "is not an origin" in checked(tmp_path, f'{settings}cors_origins = ["x"]', "store").stderr


HEADER = '[extauthz]\nprincipal = ["header"]\ntrust_header = true\n[extauthz.header]\nname = "x-user"\n'
USER = "write the ARN of a user, role or session, for example `arn:aws:iam::111111111111:user/{"
HINTS = {
    "template of a header": (
        f'{HEADER}principal = "{{value}}"\n',
        "`{value}` does not make the ARN of a principal",
        f"{USER}value}}`",
    ),
    "template of a subject": (
        '[authzen.subjects.user]\nprincipal = "{id}"',
        "at `authzen.subjects.user.principal`",
        f"{USER}id}}`",
    ),
    "role": (f'{HEADER}role = "x"\nsession = "{{value}}"\n', "at `extauthz.header.role`", USER),
    "shape": (
        '[opa.paths.a]\nshape = "trino.alow"',
        "`trino.alow` is not one of `generic`, `trino.allow`, `trino.batch` - at `opa.paths.a.shape`",
        "did you mean `trino.allow`?",
    ),
    "choice that may be absent": (
        '[opa.trino]\nrow_filters = "no"',
        "`no` is not one of `none` - at `opa.trino.row_filters`",
        "",
    ),
    "path of a listener": (
        '[listeners.main]\npath = "/run/x"',
        "unknown key `listeners.main.path`",
        "unix:/run/fastiam/pdp.sock",
    ),
    "port of a listener": (
        "[listeners.main]\nport = 8080",
        "unknown key `listeners.main.port`",
        'write `address = "127.0.0.1:8380"`',
    ),
    "path of AWS": ('[aws]\npth = "/"', "unknown key `aws.pth`", "did you mean `path`?"),
}


@pytest.mark.parametrize("settings, message, hint", HINTS.values(), ids=HINTS)
def test_mistake_in_the_configuration_is_explained(tmp_path: Path, settings: str, message: str, hint: str) -> None:
    result = checked(tmp_path, settings)
    assert result.return_value == 64 and message in result.stderr and hint in result.stderr
