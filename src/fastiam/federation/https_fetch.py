"""`HttpsFetch`: reads documents of identity providers over `https`, and from public addresses only (WI41, IP30).

Certificate chains are verified by OpenSSL. A thumbprint selects the CA certificate that the chain has to end in, where it ends
in no trusted one. The socket is connected to the address that was checked, so that a second name resolution cannot change it.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from fastiam.federation.fetch import FetchError, FetchLimits, FetchResult

Address = tuple[str, int]
Resolve = Callable[[str, int], Sequence[Address]]
# The chain does not end in a trusted certificate: X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT and the following ones of OpenSSL.
_UNTRUSTED = frozenset((2, 18, 19, 20, 21))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # all that IANA has allocated of the public Internet


def resolve_host(host: str, port: int) -> list[Address]:
    """The addresses of a host by the resolver of the system."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(address[0]), int(address[1])) for _, _, _, _, address in found]


class HttpsFetch:
    """A `Fetch` over the network. It follows no redirect, and sends no cookie and no credentials of its own.

    Parameters
    ----------
    trusted
        file of trusted CA certificates in PEM; None takes those of the system.
    resolve
        maps a host name and a port to addresses; the default asks the system.
    """

    def __init__(self, *, trusted: str | None = None, resolve: Resolve = resolve_host) -> None:
        self._context = ssl.create_default_context(cafile=trusted)
        self._resolve = resolve

    def __call__(self, url: str, limits: FetchLimits) -> FetchResult:
        """Read one document. The caller judges status and content.

        Raises
        ------
        FetchError
            the URL is not acceptable, or there is no answer.
        """
        deadline = time.monotonic() + limits.seconds
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 443
        except ValueError:
            raise FetchError("the URL is malformed", is_reachable=True) from None
        if parts.scheme != "https" or not host or "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url:
            raise FetchError("the URL is not one of `https`", is_reachable=True)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        addresses = self._addresses(host, port, limits, deadline)
        try:
            return self._read(host, port, addresses, target, limits, deadline)
        except FetchError:
            raise
        except http.client.HTTPException:
            raise FetchError(f"`{host}` answers no HTTP", is_reachable=True) from None
        except (OSError, ValueError) as error:  # a time-out, refused connection and TLS error are `OSError`
            raise FetchError(f"no connection to `{host}`: {type(error).__name__}", is_reachable=False) from None

    def _addresses(self, host: str, port: int, limits: FetchLimits, deadline: float) -> Sequence[Address]:
        """The addresses of a host, all of them public or the host allow-listed."""
        if _is_address(host):
            raise FetchError("the host is not a name", is_reachable=True)
        found: list[Address] = []
        failed: list[Exception] = []

        def look_up() -> None:
            try:
                found.extend(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                failed.append(error)

        thread = threading.Thread(target=look_up, daemon=True)  # a resolver has no time-out of its own
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))
        addresses = list(found)
        if thread.is_alive() or failed or not addresses:
            raise FetchError(f"no address of `{host}`", is_reachable=False)
        if host not in {name.lower() for name in limits.hosts} and not all(is_public(address) for address, _ in addresses):
            raise FetchError(
                f"`{host}` has an address that is not public, and `private_hosts` does not name it", is_reachable=True
            )
        return addresses

    def _read(
        self, host: str, port: int, addresses: Sequence[Address], target: str, limits: FetchLimits, deadline: float
    ) -> FetchResult:
        try:
            connected = _connect(self._context, host, addresses, deadline)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in _UNTRUSTED or not limits.thumbprints:
                raise
            context = _context_of_thumbprint(host, addresses, limits.thumbprints, deadline)
            connected = _connect(context, host, addresses, deadline)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = connected
        try:
            headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close", **limits.headers}
            authority = host if port == 443 else f"{host}:{port}"
            if limits.form is not None:
                headers |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(limits.form))}
            method = "GET" if limits.form is None else "POST"
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": authority, **headers}.items():
                connection.putheader(name, value)
            connection.endheaders(limits.form)
            with connection.getresponse() as response:
                body = response.read(limits.size + 1)
                if len(body) > limits.size:
                    raise FetchError(f"`{host}` answers more than {limits.size:,} bytes", is_reachable=True)
                if response.length:  # bytes of `Content-Length` that did not come
                    raise FetchError(f"`{host}` ends its answer early", is_reachable=False)
                return FetchResult(response.status, body, {name.lower(): value for name, value in response.getheaders()})
        finally:
            connection.close()


class _DeadlineSocket(ssl.SSLSocket):
    """A socket whose reads and writes together end at a deadline: a server that sends byte after byte gains no time."""

    deadline = 0.0

    def _start(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)

    def recv_into(self, *args: Any, **options: Any) -> int:
        self._start()
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        self._start()
        super().sendall(*args, **options)


def _connect(context: ssl.SSLContext, host: str, addresses: Sequence[Address], deadline: float) -> ssl.SSLSocket:
    """A TLS connection to the first address that answers."""
    context.sslsocket_class = _DeadlineSocket
    refused: OSError = TimeoutError()
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            plain = socket.create_connection(address, timeout=left)
        except OSError as error:
            refused = error
            continue
        try:
            plain.settimeout(max(0.001, deadline - time.monotonic()))
            # An answer without a length ends where TLS ends: what is below it can be cut off by any router.
            secured = context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise
        assert isinstance(secured, _DeadlineSocket)
        secured.deadline = deadline
        return secured
    raise refused


def _context_of_thumbprint(
    host: str, addresses: Sequence[Address], thumbprints: Sequence[str], deadline: float
) -> ssl.SSLContext:
    """A context that trusts the CA certificates of the presented chain that a thumbprint names (IP30), and no others.

    The first connection only reads the chain, and sends no request. OpenSSL then verifies a second one: chain, host, dates.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with _connect(unverified, host, addresses, deadline) as connected:
        chain = _presented_chain(connected)
    named = [raw for raw in chain[1:] if hashlib.sha1(raw, usedforsecurity=False).hexdigest() in thumbprints and _is_ca(raw)]
    if not named:
        raise FetchError(f"the certificate of `{host}` is not trusted", is_reachable=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata="".join(map(ssl.DER_cert_to_PEM_cert, named)))
    return context


def _presented_chain(connected: ssl.SSLSocket) -> list[bytes]:
    """The certificates that a server has sent, in DER, its own first."""
    if hasattr(connected, "get_unverified_chain"):  # public from Python 3.13
        return [bytes(raw) for raw in connected.get_unverified_chain()]
    found = connected._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in found or ()]


def _is_ca(raw: bytes) -> bool:
    try:
        extensions = x509.load_der_x509_certificate(raw).extensions
        return bool(extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except Exception:  # the library raises many kinds, for example `InvalidVersion`, which is not a `ValueError`
        return False


def _is_address(host: str) -> bool:
    """Whether a host is written as an address, in any notation that a resolver reads as one."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
        return True
    except ValueError:
        pass
    last = host.rstrip(".").rpartition(".")[2]
    return last.isdigit() or last.lower().startswith("0x")


def is_public(text: str) -> bool:
    """Whether an address is of the public Internet: not private, loopback, link-local, reserved or multicast."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if embedded is not None:
            return is_public(str(embedded))
        if address not in _UNICAST:  # local NAT64, site-local and translated addresses are not private to the library
            return False
    return address.is_global and not address.is_multicast
