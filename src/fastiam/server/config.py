"""The configuration of `fastiam serve`: TOML, then the environment, then flags; the later one wins (G189).

Each part of the server has a section, and so has each protocol, whose module declares the type of its section. A key that no type
has is an error with a suggestion: a mistyped key must not leave a default in force that lets more pass.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from fastiam.errors import FastiamError, did_you_mean, pip_install
from fastiam.model.request import shorten
from fastiam.server.config_sections import CoreSettings, Listener, Settings
from fastiam.server.protocol import Section

DEFAULT_FILE: Final = Path("/etc/fastiam/serve.toml")
PREFIX: Final = "FASTIAM_SERVE__"

PROTOCOLS: Final = ("authzen", "extauthz", "opa", "aws", "bulk", "ops", "playground")
_ON_BY_DEFAULT: Final = ("authzen", "bulk", "ops")
MAIN: Final = "main"
OPS: Final = "ops"

_ADDRESS: Final = {
    "path": 'write `address = "unix:/run/fastiam/pdp.sock"`; paths of requests are those of the protocols',
    "socket": 'write `address = "unix:/run/fastiam/pdp.sock"`',
    **dict.fromkeys(("host", "port", "bind", "listen"), 'write `address = "127.0.0.1:8380"`'),
}
"""Hints for keys that a listener does not have."""


class ConfigError(FastiamError):
    """The configuration cannot be used. The start is refused with exit code 64, and a reload keeps the configuration in force."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The options of the command line."""

    source: tuple[str, ...] = ()
    listen: str | None = None
    protocols: tuple[str, ...] = ()


def load(file: Path | None, environ: Mapping[str, str], flags: Flags) -> Settings:
    """Read the configuration.

    Parameters
    ----------
    file
        the TOML file; None: `/etc/fastiam/serve.toml` if it exists. No file of the working directory is ever read unasked.
    environ
        variables `FASTIAM_SERVE__SECTION__KEY`; values are TOML values, or else texts.

    Raises
    ------
    ConfigError
        a file that cannot be read, an unknown key, a value of another type, or parts that do not fit together.
    """
    tree, variables = _read_file(file), _from_environment(environ)
    _check_keys(tree, str(file or DEFAULT_FILE))
    _check_keys(variables, "environment")
    _merge(tree, variables)
    _merge(tree, _from_flags(flags))
    secrets: set[str] = set()
    tree = _expanded(tree, secrets)
    core = _convert({name: value for name, value in tree.items() if name in CoreSettings.__struct_fields__}, CoreSettings, "")
    sections = _sections(tree)
    return Settings(core, _listeners(core, sections), sections, frozenset(secrets))


def effective(settings: Settings) -> dict[str, Any]:
    """The configuration in force as JSON values, with `<secret>` in place of secrets."""
    tree = msgspec.to_builtins(settings.core)
    tree["listeners"] = msgspec.to_builtins(dict(settings.listeners))
    tree |= {name: msgspec.to_builtins(section) for name, section in settings.sections.items()}
    masked: dict[str, Any] = _masked(tree, settings.secrets)
    return masked


def protocol_module(name: str) -> Any:
    """The module of a protocol.

    Raises
    ------
    ConfigError
        no such protocol, or a package that it needs is missing.
    """
    if name not in PROTOCOLS:
        raise ConfigError(_with_hint(f"`{name}` is not a protocol", did_you_mean(name, PROTOCOLS)))
    if not is_available(name):
        raise ConfigError(f"this release has no protocol `{name}`")
    try:
        return import_module(f"fastiam.server.protocols.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "fastiam":
            raise
        raise ConfigError(f"protocol `{name}` needs the package `{error.name}`\nhelp: {pip_install(name)}") from None


def is_available(name: str) -> bool:
    """Whether this release has the protocol."""
    return find_spec(f"fastiam.server.protocols.{name}") is not None


# -- where values come from ---------------------------------------------------------------------------------------------


def _read_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        if not DEFAULT_FILE.is_file():
            return {}
        file = DEFAULT_FILE
    try:
        with file.open("rb") as stream:
            if os.fstat(stream.fileno()).st_mode & 0o002:
                raise ConfigError(
                    f"{file}: every user may write this file, and it defines who is trusted\nhelp: chmod o-w {file}"
                )
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{file}: {(error.strerror or str(error)).lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        *sections, key = name[len(PREFIX) :].lower().split("__")
        if not sections or not all((*sections, key)):
            raise ConfigError(f"`{name}` is not a setting\nhelp: use {PREFIX}SECTION__KEY")
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
            if not isinstance(at, dict):
                raise ConfigError(f"`{name}` sets a key inside of a value")
        at[key] = _toml_value(environ[name])
    return tree


def _toml_value(text: str) -> Any:
    """The TOML value in a text; the text itself if it is none."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _from_flags(flags: Flags) -> dict[str, Any]:
    tree: dict[str, Any] = {name: {"enabled": True} for name in flags.protocols}
    for name in flags.protocols:
        if name not in PROTOCOLS:
            raise ConfigError(_with_hint(f"`{name}` is not a protocol", did_you_mean(name, PROTOCOLS)))
    if flags.source:
        tree["source"] = {"paths": list(flags.source)}
    if flags.listen is not None:
        tree["listeners"] = {MAIN: {"address": flags.listen}}
    return tree


def _merge(tree: dict[str, Any], later: Mapping[str, Any]) -> None:
    for key, value in later.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _masked(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, secrets) for item in value]
    return "<secret>" if isinstance(value, str) and value in secrets else value


def _expanded(value: Any, secrets: set[str]) -> Any:
    """The tree with each `${file:PATH}` replaced by the content of that file, without the line end."""
    if isinstance(value, dict):
        return {key: _expanded(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, secrets) for item in value]
    if not (isinstance(value, str) and value.startswith("${file:") and value.endswith("}")):
        return value
    path = Path(value[len("${file:") : -1])
    try:
        text = path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the secret cannot be read: {error}") from None
    secrets.add(text)
    return text


# -- what they may be ---------------------------------------------------------------------------------------------------


def _check_keys(tree: Mapping[str, Any], source: str) -> None:
    faults = list(_faults(tree, inspect.type_info(CoreSettings), "", extra=PROTOCOLS))
    for name in PROTOCOLS:
        if name in tree:
            faults += _faults(tree[name], inspect.type_info(protocol_module(name).Section), name)
    if faults:
        raise ConfigError("\n".join(f"{source}: {fault}" for fault in faults))


def _faults(value: Any, kind: inspect.Type, path: str, extra: Sequence[str] = ()) -> Iterator[str]:
    """A message for each key that the type does not have, and for each text that is not one of its choices."""
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field.type for field in kind.fields}
        for key, item in value.items():
            at = f"{path}.{key}" if path else key
            if key in fields:
                yield from _faults(item, fields[key], at)
            elif key not in extra:
                hint = _ADDRESS.get(key, "") if path.startswith("listeners.") else ""
                yield _with_hint(f"unknown key `{at}`", hint or did_you_mean(key, [*fields, *extra]))
    elif isinstance(kind, inspect.DictType) and isinstance(value, dict):
        for key, item in value.items():
            yield from _faults(item, kind.value_type, f"{path}.{key}")
    elif isinstance(kind, (inspect.VarTupleType, inspect.ListType)) and isinstance(value, list):
        for i, item in enumerate(value):
            yield from _faults(item, kind.item_type, f"{path}[{i}]")
    elif isinstance(kind, inspect.UnionType):
        choices = [each for each in kind.types if isinstance(each, inspect.LiteralType)]
        if isinstance(value, str) and choices and not any(isinstance(each, inspect.StrType) for each in kind.types):
            yield from _faults(value, choices[0], path)
        structs = [each for each in kind.types if isinstance(each, (inspect.StructType, inspect.DictType, inspect.VarTupleType))]
        if len(structs) == 1:
            yield from _faults(value, structs[0], path)
    elif isinstance(kind, inspect.LiteralType) and isinstance(value, str) and value not in kind.values:
        choices_ = ", ".join(f"`{each}`" for each in kind.values)
        yield _with_hint(f"`{shorten(value)}` is not one of {choices_} - at `{path}`", did_you_mean(value, map(str, kind.values)))


def _convert(tree: Any, kind: Any, path: str) -> Any:
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error).replace("`$", f"`{path or '$'}").replace("Object", "table").lower()) from None


def _sections(tree: Mapping[str, Any]) -> dict[str, Section]:
    names = [name for name in PROTOCOLS if name in tree or (name in _ON_BY_DEFAULT and is_available(name))]
    sections = {name: _convert(tree.get(name, {}), protocol_module(name).Section, name) for name in names}
    return {name: section for name, section in sections.items() if section.enabled}


def _listeners(core: CoreSettings, sections: Mapping[str, Section]) -> dict[str, Listener]:
    """Every listener with its address, and with the names of the protocols that it serves."""
    listeners = dict(core.listeners)
    if all(name == OPS for name in listeners):
        listeners[MAIN] = Listener()
    if OPS in sections and OPS not in listeners and not any(OPS in (each.protocols or ()) for each in listeners.values()):
        listeners[OPS] = Listener()
    defaults = {MAIN: "127.0.0.1:8380", OPS: "127.0.0.1:8382"}
    named = {name for listener in listeners.values() for name in listener.protocols or ()}
    for name in sorted(named):
        if name not in PROTOCOLS:
            raise ConfigError(_with_hint(f"a listener names `{name}`, which is not a protocol", did_you_mean(name, PROTOCOLS)))
        if name not in sections:
            raise ConfigError(f"a listener names `{name}`, which is off\nhelp: add a section `[{name}]`")
    moved = {name for listener in listeners.values() if listener.exclusive for name in listener.protocols or ()}
    rest = tuple(name for name in sections if name not in moved and name != OPS)
    found = {}
    for name, listener in listeners.items():
        address = listener.address or defaults.get(name)
        if address is None:
            raise ConfigError(f"listener `{name}` has no address\nhelp: add `address` to `[listeners.{name}]`")
        protocols = listener.protocols
        if protocols is None:
            protocols = (OPS,) if name == OPS and OPS in sections else rest
        if protocols:
            found[name] = msgspec.structs.replace(listener, address=address, protocols=protocols)
    return found


def _with_hint(message: str, hint: str) -> str:
    return f"{message}\nhelp: {hint}" if hint else message
