"""The configuration: where it comes from, and what refuses the start (G26, G27, G189)."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fastiam.errors import FastiamError
from fastiam.server import config, start_checks
from fastiam.server.auth import read_tokens
from fastiam.server.config import ConfigError, Flags, load
from fastiam.server.config_sections import FIXED_LIMITS, CoreSettings, Limits, Listener, Settings

ROOT = Path(__file__).resolve().parents[3]


def settings(tmp_path: Path, text: str, environ: dict[str, str] | None = None, flags: Flags = Flags()) -> Settings:  # noqa: B008
    file = tmp_path / "serve.toml"
    file.write_text(text)
    file.chmod(0o600)
    found = load(file, environ or {}, flags)
    start_checks.prepare(found)
    return found


REFUSED = {
    "remote-without-tls": ('[listeners.main]\naddress = "0.0.0.0:1"\nauth = "bearer"', "has no TLS"),  # GC27
    "remote-without-auth": ('[listeners.main]\naddress = "0.0.0.0:1"\ninsecure = true', "has no authentication"),
    "remote-v6": ('[listeners.main]\naddress = "[::]:1"\nauth = "none"', "has no TLS"),
    "remote-ops-with-more": ('[listeners.ops]\naddress = "0.0.0.0:1"\nprotocols = ["ops", "authzen"]', "has no TLS"),
    "unknown-section": ("[athuzen]\nreasons = 1", "did you mean `authzen`?"),  # GC27
    "unknown-key": ('[authzen]\nreasns = "full"', "serve.toml: unknown key `authzen.reasns`\nhelp: did you mean `reasons`?"),
    "unknown-key-of-a-listener": ('[listeners.main]\nadress = "x"', "did you mean `address`?"),
    "unknown-key-in-a-list": ("[[auth.unix]]\nuidd = 1", "unknown key `auth.unix[0].uidd`"),
    "unknown-key-in-a-table": ('[listeners.main]\ntls = { cert = "x", key = "y" }', "unknown key `listeners.main.tls.cert`"),
    "admin": ('[admin]\nauth = "none"', "unknown key `admin`"),  # GC28
    "workers": ("workers = 2", "unknown key `workers`"),
    "wrong-type": ('[limits]\nin_work = "many"', "expected `int`, got `str` - at `$.limits.in_work`"),
    "limit-of-zero": ("[limits]\nin_work = 0", "`$.limits.in_work`"),
    "negative-time": ("[limits]\nbody_seconds = -1.0", "`$.limits.body_seconds`"),
    "sample-above-one": ("[decision_log]\nsample = 2.0", "`$.decision_log.sample`"),
    "wrong-choice": ('[decision_log]\nmode = "some"', "not one of `all`, `denied`"),
    "abstract-socket": ('[listeners.main]\naddress = "unix:@name"', "an abstract socket has no permissions"),
    "relative-socket": ('[listeners.main]\naddress = "unix:pdp.sock"', "not an absolute path"),
    "open-socket": ('[listeners.main]\naddress = "unix:/tmp/x"\nmode = "0666"', "lets every user connect"),
    "mode-that-is-none": ('[listeners.main]\naddress = "unix:/tmp/x"\nmode = "rw"', "is not a mode"),
    "name-as-address": ('[listeners.main]\naddress = "pdp.example:80"', "is not an IP address"),
    "port-out-of-range": ('[listeners.main]\naddress = "127.0.0.1:65536"', "is not an address"),
    "unix-auth-on-tcp": ('[listeners.main]\nauth = "unix"\n[[auth.unix]]\nuid = 1', "needs a unix socket"),
    "mtls-without-authority": ('[listeners.main]\nauth = "mtls"\n[[auth.mtls]]\nname = "x"', "needs `tls.client_ca`"),
    "certificates-and-tokens": (
        '[listeners.main]\nauth = "bearer"\ntls = { certificate = "c", key = "k", client_ca = "a" }',
        'use `auth = "mtls"`',
    ),
    "tls-on-a-unix-socket": ('[listeners.main]\naddress = "unix:/tmp/x"\ntls = { certificate = "c", key = "k" }', "no TLS"),
    "bearer-without-tokens": ('[listeners.main]\nauth = "bearer"', "accepts no client"),
    "unix-without-peers": ('[listeners.main]\naddress = "unix:/tmp/x"\nauth = "unix"', "accepts no client"),
    "scope-of-a-later-release": ('[[auth.unix]]\nuid = 1\nscopes = ["admin"]', "`admin` is not a scope"),
    "unknown-scope": ('[[auth.unix]]\nuid = 1\nscopes = ["decid"]', "did you mean `decide`?"),
    "peer-without-id": ('[[auth.unix]]\nname = "x"', "neither `uid` nor `gid`"),
    "trust-with-a-use-scope": ('[trust]\nanonymous = ["decide"]', "only scopes that begin with `assert:`"),
    "unknown-protocol": ('[listeners.main]\nprotocols = ["authzn"]', "did you mean `authzen`?"),
    "protocol-that-is-off": ('[listeners.main]\nprotocols = ["authzen"]\n[authzen]\nenabled = false', "which is off"),
    "missing-secret": ('[server]\npublic_url = "${file:/nonexistent}"', "the secret cannot be read"),
    "missing-tokens": ('[auth]\ntokens = "/nonexistent"', "no such file"),
    "broken-toml": ("[listeners", "serve.toml"),
}


@pytest.mark.parametrize("text, message", REFUSED.values(), ids=REFUSED)
def test_configuration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text)
    assert message in str(caught.value)


def test_settings_in_messages_exist() -> None:
    core = {name: value for name, value in msgspec.structs.asdict(CoreSettings()).items() if isinstance(value, msgspec.Struct)}
    sections = {name: set(value.__struct_fields__) for name, value in core.items()}
    text = "".join(file.read_text() for file in Path(config.__file__).parent.rglob("*.py"))
    named = re.findall(rf"`({'|'.join(sections)})\.(\w+)`", text)
    assert ("source", "keyring") in named and [(section, key) for section, key in named if key not in sections[section]] == []


def test_defaults_are_complete_and_on_loopback(tmp_path: Path) -> None:  # G6, G13
    found = settings(tmp_path, "")
    assert {name: listener.address for name, listener in found.listeners.items()} == {
        "main": "127.0.0.1:8380",
        "ops": "127.0.0.1:8382",
    }
    assert "ops" not in (found.listeners["main"].protocols or ())
    assert found.listeners["ops"].protocols == ("ops",)


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    text = '[source]\npaths = ["file"]\n[limits]\nin_work = 1\nthreads = 3\n[listeners.main]\naddress = "127.0.0.1:1"\n'
    environ = {
        "FASTIAM_SERVE__LIMITS__IN_WORK": "2",
        "FASTIAM_SERVE__LISTENERS__MAIN__ADDRESS": "127.0.0.1:2",
        "FASTIAM_SERVE__SOURCE__PATHS": '["environment"]',
        "FASTIAM_SERVE__SERVER__PUBLIC_URL": "https://pdp.example",
        "FASTIAM_SERVED": "another program's",
    }
    found = settings(tmp_path, text, environ, Flags(("flag",), "127.0.0.1:3"))
    assert (found.core.limits.in_work, found.core.limits.threads) == (2, 3)
    assert found.core.source.paths == ("flag",)
    assert found.listeners["main"].address == "127.0.0.1:3"
    assert found.core.server.public_url == "https://pdp.example"


@pytest.mark.parametrize(
    "name, value", [("FASTIAM_SERVE__LIMITS__IN_WROK", "2"), ("FASTIAM_SERVE__X", "1"), ("FASTIAM_SERVE__LIMITS__", "1")]
)
def test_unknown_variable_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError):
        settings(tmp_path, "", {name: value})


def test_unknown_variable_is_reported_with_the_environment(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^environment: unknown key `limits.in_wrok`"):
        settings(tmp_path, "", {"FASTIAM_SERVE__LIMITS__IN_WROK": "2"})


def test_variable_sets_one_key_only(tmp_path: Path) -> None:
    found = settings(tmp_path, "", {"FASTIAM_SERVE__SERVER__PUBLIC_URL": '"a"\nsource = { paths = ["x"] }'})
    assert found.core.source.paths == ()


def test_secret_of_a_file_is_masked_when_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("https://secret.example\n")
    found = settings(tmp_path, f'[server]\npublic_url = "${{file:{tmp_path}/secret}}"')
    assert found.core.server.public_url == "https://secret.example"
    shown = config.effective(found)
    assert shown["server"] == {"public_url": "<secret>"}
    assert "secret.example" not in str(shown)


def test_file_that_every_user_may_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text("")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="every user may write"):
        load(file, {}, Flags())


# -- tokens ---------------------------------------------------------------------------------------------------------------

DIGEST = hashlib.sha256(b"token").hexdigest()


def tokens_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "tokens"
    file.write_text(text)
    file.chmod(0o640)
    return file


def test_tokens_of_one_name_may_be_several(tmp_path: Path) -> None:  # 1.5
    other = hashlib.sha256(b"other").hexdigest()
    tokens = read_tokens(tokens_file(tmp_path, f"# comment\npep decide,search {DIGEST}\n\npep decide {other}  # new\n"))
    first, second = tokens.identify(b"token"), tokens.identify(b"other")
    assert first is not None and second is not None
    assert (first.name, first.scopes) == ("pep", frozenset({"decide", "search"}))
    assert (second.name, second.scopes) == ("pep", frozenset({"decide"}))
    assert tokens.identify(b"token ") is None and tokens.identify(DIGEST.encode()) is None


def test_trust_scope_is_not_implied_by_another_one(tmp_path: Path) -> None:  # G28
    found = read_tokens(tokens_file(tmp_path, f"pep assert:session,metrics {DIGEST}")).identify(b"token")
    assert found is not None
    assert not any(found.has(scope) for scope in ("assert:tags", "assert:owner", "assert:context", "decide"))


@pytest.mark.parametrize("line", ["pep decide", "pep decide token", f"pep decid {DIGEST}", f"p,e decide {DIGEST}", f"{DIGEST}"])
def test_line_of_tokens_is_refused_without_showing_it(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_tokens(tokens_file(tmp_path, f"ok decide {DIGEST}\n{line}\n"))
    assert "tokens:2" in str(caught.value)
    assert "token`" not in str(caught.value) and DIGEST not in str(caught.value)


def test_tokens_that_every_user_may_write_are_refused(tmp_path: Path) -> None:
    file = tokens_file(tmp_path, f"pep decide {DIGEST}")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="every user may write"):
        read_tokens(file)


# -- the page -------------------------------------------------------------------------------------------------------------

PAGE = (ROOT / "docs/serve.md").read_text()
TABLES = re.findall(r"```toml\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("text", TABLES, ids=range(len(TABLES)))
def test_toml_of_the_page_is_accepted(tmp_path: Path, text: str) -> None:
    tokens = tokens_file(tmp_path, f"pep decide {DIGEST}\n")
    assert tomllib.loads(text)
    assert settings(tmp_path, text.replace("/etc/fastiam/tokens", str(tokens))).listeners


def keys_of(kind: Any) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize("part", [field.name for field in msgspec.structs.fields(CoreSettings)])
def test_page_names_every_key(part: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith((f"| `{part}`", f"| `{part}.")))
    kind = Listener if part == "listeners" else type(getattr(CoreSettings(), part))
    for key in keys_of(kind):
        assert f"`{key}`" in row, f"docs/serve.md lacks {part}.{key}"


def test_refused_start_is_an_error_of_the_package() -> None:
    assert issubclass(ConfigError, FastiamError)


def test_documentation_has_each_limit_and_its_default() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([0-9.]+) \| \w+ \|", page.partition("## Limits of the server")[2], re.M)
    limits = Limits()
    assert {name: float(default) for name, default in rows} == {name: getattr(limits, name) for name in limits.__struct_fields__}
    fixed = page.partition("## Limits of the server")[2].partition(" need a restart")[0].rpartition("\n")[2]
    assert re.findall(r"`(\w+)`", fixed) == list(FIXED_LIMITS)


ALL = ("authzen", "opa", "bulk")
SECOND = '[listeners.b]\naddress = "127.0.0.1:1"\n'


@pytest.mark.parametrize(
    ("listeners", "served"),
    [
        ("[listeners.main]", {"main": ALL}),
        ("[listeners.main]\n" + SECOND + 'protocols = ["opa"]', {"main": ALL, "b": ("opa",)}),
        (
            "[listeners.main]\n" + SECOND + 'protocols = ["opa"]\nexclusive = true',
            {"main": ("authzen", "bulk"), "b": ("opa",)},
        ),
        (
            '[listeners.main]\nprotocols = ["opa", "bulk"]\n' + SECOND + 'protocols = ["opa"]\nexclusive = true',
            {"main": ("opa", "bulk"), "b": ("opa",)},
        ),
        ("[listeners.main]\n" + SECOND + 'protocols = ["ops"]', {"main": ALL, "b": ("ops",)}),
    ],
    ids=["one", "named twice", "moved", "named by both", "ops"],
)
def test_protocol_of_a_second_listener_stays_unless_it_is_moved(
    tmp_path: Path, listeners: str, served: dict[str, tuple[str, ...]]
) -> None:
    found = settings(tmp_path, f"[opa]\n{listeners}").listeners
    assert {name: one.protocols for name, one in found.items() if name != "ops"} == served
