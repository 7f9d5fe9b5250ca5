"""What is checked before the process serves, and before a reload: listeners, authentication, logs, and what cannot change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastiam.server.auth import Tokens, authenticator, read_tokens
from fastiam.server.config import ConfigError
from fastiam.server.config_sections import FIXED_LIMITS, Settings
from fastiam.server.listeners import Address, check, read_address


def prepare(settings: Settings, *, is_running: bool = False) -> dict[str, tuple[Address, str]]:
    """Check what can be checked without the source: the address and the kind of authentication of each listener.

    Parameters
    ----------
    is_running
        whether it is a reload. Then it may revoke the last client of a listener, and the file of tokens may be gone.

    Raises
    ------
    ConfigError
        a listener, the tokens or the authentication are not usable.
    """
    found = {}
    core = settings.core
    tokens = running_tokens(settings) if is_running or core.auth.tokens is None else read_tokens(Path(core.auth.tokens))
    for name, listener in settings.listeners.items():
        address = read_address(listener.address or "")
        auth = check(name, listener, address)
        access = authenticator(auth, core.auth, core.trust, tokens, is_local=address.is_unix or address.is_loopback)
        if access.accepts_none and not is_running and (auth != "bearer" or core.auth.tokens is None):
            key = "tokens" if auth == "bearer" else auth
            raise ConfigError(f'`auth = "{auth}"` accepts no client\nhelp: add `{key}` to `[auth]`')
        found[name] = address, auth
    return found


def running_tokens(settings: Settings) -> Tokens:
    """The tokens of a running process: those of a file that was removed are revoked."""
    path = settings.core.auth.tokens
    return Tokens() if path is None or not os.path.exists(path) else read_tokens(Path(path))


def check_reload(old: Settings, new: Settings) -> None:
    """Refuse a change of what a reload cannot change.

    Raises
    ------
    ConfigError
        names it.
    """
    if old.core.source != new.core.source:
        raise ConfigError("`source` cannot change while the server runs\nhelp: restart it")
    if old.core.audit_log != new.core.audit_log:
        raise ConfigError("`audit_log` cannot change while the server runs\nhelp: restart it")
    limits = old.core.limits, new.core.limits
    changed = [name for name in FIXED_LIMITS if getattr(limits[0], name) != getattr(limits[1], name)]
    if changed:
        raise ConfigError(f"`limits.{changed[0]}` cannot change while the server runs\nhelp: restart it")
    if _fixed_parts(old) != _fixed_parts(new):
        raise ConfigError("listeners cannot change while the server runs\nhelp: restart it")


def _fixed_parts(settings: Settings) -> dict[str, dict[str, Any]]:
    """The parts of the listeners that a reload cannot change."""
    changing = ("hosts", "trusted_proxies", "client_address")
    return {
        name: {part: getattr(listener, part) for part in listener.__struct_fields__ if part not in changing}
        for name, listener in settings.listeners.items()
    }


def check_log(name: str, path: str) -> None:
    """Check that a log can be written, as far as that is known without writing it.

    Raises
    ------
    ConfigError
        it cannot.
    """
    target = Path(path)
    if path == "-" or (os.access(target, os.W_OK) and target.is_file() and not target.is_symlink()):
        return
    if target.exists() or target.is_symlink() or not os.access(target.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{name}: {path}: the file cannot be written\nhelp: name a file in a folder that this user may write")
