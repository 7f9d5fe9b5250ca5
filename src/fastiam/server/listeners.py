"""Sockets of `fastiam serve`: addresses, unix sockets with permissions, TLS (G13, G24, G26, G27)."""

from __future__ import annotations

import errno
import grp
import ipaddress
import os
import pwd
import re
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastiam.server.config import OPS, ConfigError
from fastiam.server.config_sections import Limits, Listener, Tls
from fastiam.server.protocol import ListenerFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastiam.server.connections import Connections
    from fastiam.server.observer import Observer
    from fastiam.server.serving import Serving

_OPS_CONNECTIONS: Final = 256  # probes and scrapes
_TCP = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[^\[\]:]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens."""

    host: str = ""
    """An IP address, or `localhost`; empty for a unix socket."""
    port: int = 0
    path: Path | None = None

    @property
    def is_unix(self) -> bool:
        """Whether it is a unix socket."""
        return self.path is not None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it; False for a unix socket."""
        return self.path is None and (self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback)

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(text: str) -> Address:
    """The address in a text: `127.0.0.1:8380`, `[::1]:8380`, `localhost:8380` or `unix:/run/fastiam/pdp.sock`.

    Raises
    ------
    ConfigError
        it is not an address; names are not resolved.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if path.startswith(("@", "\0")):
            raise ConfigError(f"`{text}`: an abstract socket has no permissions\nhelp: use a path")
        if not path.startswith("/") or "\0" in path or len(os.fsencode(path)) > 100:
            raise ConfigError(f"`{text}`: not an absolute path of at most 100 bytes")
        return Address(path=Path(path))
    match = _TCP.fullmatch(text)
    host = (match["v6"] or match["v4"]) if match else ""
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"`{text}` is not an address\nhelp: use 127.0.0.1:8380, [::1]:8380 or unix:/path")
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ConfigError(f"`{host}` is not an IP address\nhelp: names are not resolved") from None
    return Address(host, int(match["port"]))


def check(name: str, listener: Listener, address: Address) -> str:
    """Check that a listener is safe; its kind of authentication.

    Raises
    ------
    ConfigError
        rules G24, G26, G27.
    """
    at = f"listeners.{name}"
    is_ops = listener.protocols == (OPS,)
    auth = listener.auth
    is_local = address.is_unix or address.is_loopback
    if address.is_unix:
        if listener.tls is not None:
            raise ConfigError(f"{at}: a unix socket has no TLS\nhelp: remove `tls`")
        if _mode(listener.mode, at) & 0o007 and auth != "unix":
            raise ConfigError(f'{at}: mode {listener.mode} lets every user connect\nhelp: use 0660, or `auth = "unix"`')
    elif auth == "unix":
        raise ConfigError(f'{at}: `auth = "unix"` needs a unix socket')
    if auth == "mtls" and (listener.tls is None or listener.tls.client_ca is None):
        raise ConfigError(f'{at}: `auth = "mtls"` needs `tls.client_ca`')
    if listener.tls is not None and listener.tls.client_ca is not None and auth != "mtls":
        raise ConfigError(f'{at}: with `tls.client_ca` the identity is that of the certificate\nhelp: use `auth = "mtls"`')
    if not is_local and not is_ops:
        if listener.tls is None and not listener.insecure:
            raise ConfigError(f"{at}: {address} is not on loopback and has no TLS\nhelp: add `tls`, or `insecure = true`")
        if auth is None:
            raise ConfigError(f'{at}: {address} is not on loopback and has no authentication\nhelp: use `auth = "bearer"`')
    return auth or "none"


def hazards(name: str, listener: Listener, address: Address) -> list[str]:
    """Warnings about a listener that is served as configured all the same (G27)."""
    if address.is_unix or address.is_loopback or listener.protocols == (OPS,):
        return []
    found = []
    if listener.tls is None:
        found.append(f"listeners.{name}: requests to {address} are not encrypted, and others on the network can change them")
    if listener.auth == "none":
        found.append(f"listeners.{name}: every client that reaches {address} is answered")
    return found


def wanted_connections(listener: Listener, limits: Limits) -> int:
    """How many connections a listener may have at a time."""
    if listener.connections is not None:
        return listener.connections
    return min(limits.connections, _OPS_CONNECTIONS) if listener.protocols == (OPS,) else limits.connections


def facts(listener: Listener, address: Address, auth: str) -> ListenerFacts:
    """What protocols may know of a listener."""
    return ListenerFacts("unix" if address.is_unix else "tcp", address.is_loopback, auth, listener.tls is not None)


@dataclass(slots=True)
class Listening:
    """A listener of the running process. A reload replaces `serving` and `limits`."""

    name: str
    settings: Listener
    address: Address
    facts: ListenerFacts
    limits: Limits
    observer: Observer
    connections: Connections
    serving: Serving
    sock: socket.socket | None = None
    context: ssl.SSLContext | None = None
    inode: tuple[int, int] | None = None
    """Device and inode of our unix socket."""
    in_work: int = 0
    """Requests that a thread works on, or that wait for one."""
    body_bytes: int = 0
    """Bytes of bodies that are not complete, or in work."""

    def bind(self, warn: Callable[[str], None]) -> None:
        """Bind the socket, without accepting yet.

        Raises
        ------
        ConfigError
            the address is in use or not ours to use.
        """
        if self.address.path is not None:
            self.sock, self.inode = _bind_unix(
                self.address.path, self.settings, self.limits.backlog, f"listeners.{self.name}", warn
            )
        else:
            self.sock = _bind_tcp(self.address, self.limits.backlog, f"listeners.{self.name}")
            self.address = Address(self.address.host, self.sock.getsockname()[1])
        if self.settings.tls is not None:
            self.context = tls_context(self.settings.tls)

    def remove(self) -> None:
        """Remove our unix socket, unless it is another one by now."""
        if self.address.path is None or self.inode is None:
            return
        try:
            status = self.address.path.lstat()
            if (status.st_dev, status.st_ino) == self.inode:
                self.address.path.unlink()
        except OSError:  # gone already
            pass


def _bind_tcp(address: Address, backlog: int, at: str) -> socket.socket:
    host = "127.0.0.1" if address.host == "localhost" else address.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, address.port))
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        hint = f"\nhelp: set `{at}.address` to another one, or stop the other process" if error.errno == errno.EADDRINUSE else ""
        raise ConfigError(f"{address}: {(error.strerror or str(error)).lower()}{hint}") from None
    return sock


def _mode(text: str, at: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ConfigError(f"{at}: `{text}` is not a mode such as `0660`")
    return int(text, 8)


def prepare_socket(path: Path, at: str, warn: Callable[[str], None]) -> None:
    """Make the folder of a unix socket, and remove a socket that a process of ours left there.

    Raises
    ------
    ConfigError
        the folder is of another user, or the path is in use.
    """
    folder = path.parent
    try:
        if not folder.exists():
            folder.mkdir(0o750)
        status = folder.stat()
        if status.st_uid not in (0, os.getuid()):
            raise ConfigError(f"{at}: {folder} belongs to another user")
        if status.st_mode & 0o022:
            warn(f"{folder}: other users may replace the socket in this folder")
        _remove_stale(path, at)
    except OSError as error:
        raise ConfigError(f"{at}: {path}: {(error.strerror or str(error)).lower()}") from None


def protect_socket(path: Path, mode: str, owner: str | None, group: str | None, at: str) -> tuple[int, int]:
    """Set owner, group and mode of a bound unix socket; its device and inode.

    Raises
    ------
    ConfigError
        there is no such user or group, or it may not be set.
    """
    uid, gid = check_permissions(mode, owner, group, at)
    try:
        if uid != -1 or gid != -1:
            os.chown(path, uid, gid)
        path.chmod(_mode(mode, at))
        status = path.lstat()
    except OSError as error:
        raise ConfigError(f"{at}: {path}: {(error.strerror or str(error)).lower()}") from None
    return status.st_dev, status.st_ino


def check_permissions(mode: str, owner: str | None, group: str | None, at: str) -> tuple[int, int]:
    """The ids of the owner and group of a unix socket; -1: as they are.

    Raises
    ------
    ConfigError
        there is no such user or group, or the mode is none.
    """
    _mode(mode, at)
    try:
        uid = -1 if owner is None else pwd.getpwnam(owner).pw_uid
        return uid, -1 if group is None else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ConfigError(f"{at}: {str(error.args[0]).lower()}") from None


def _bind_unix(
    path: Path, listener: Listener, backlog: int, at: str, warn: Callable[[str], None]
) -> tuple[socket.socket, tuple[int, int]]:
    prepare_socket(path, at, warn)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        sock.bind(str(path))
    except OSError as error:
        raise ConfigError(f"{at}: {path}: {(error.strerror or str(error)).lower()}") from None
    finally:
        os.umask(umask)
    inode = protect_socket(path, listener.mode, listener.owner, listener.group, at)
    sock.listen(backlog)
    sock.setblocking(False)
    return sock, inode


def _remove_stale(path: Path, at: str) -> None:
    """Remove a socket that a process of ours left behind; refuse everything else that is there."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.getuid():
        raise ConfigError(f"{at}: {path} exists, and is not a socket of ours")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, errno.ENOENT):
                raise ConfigError(f"{at}: {path}: {(error.strerror or str(error)).lower()}") from None
        else:
            raise ConfigError(f"{at}: {path}: another process answers there")
    path.unlink(missing_ok=True)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """The context of a listener: TLS 1.2 or newer, client certificates required if there are authorities for them.

    Raises
    ------
    ConfigError
        a file cannot be read or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise ConfigError(f"tls of `{tls.certificate}`: {error}") from None
    return context


def file_stamp(path: str) -> tuple[int, int]:
    """What changes when a file is replaced or written; zeros if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino


def _no_password() -> str:
    raise ValueError("the key is encrypted")
