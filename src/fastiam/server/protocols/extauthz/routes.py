"""Routes: from host, method and path of a request to action and resource (G86, G88)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from fastiam.errors import RequestValueError
from fastiam.model.request import check_action, check_resource
from fastiam.server.json_pointer import read_pointer
from fastiam.server.mapping import MAX_ID, MappingError, Template, config_error, encode
from fastiam.server.protocols.extauthz.checks import CheckRequest
from fastiam.server.protocols.extauthz.extauthz_section import RouteSection
from fastiam.server.protocols.extauthz.request_paths import canonical_path, raw_path, split_target

INVOKE: Final = "execute-api:Invoke"
MAX_TARGET: Final = 16_384
_METHOD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_PORT = re.compile(r":[0-9]*")
_CAPTURE = re.compile(r"\{([A-Za-z0-9_]+)(\.\.\.)?\}")
_CLAIM = re.compile(r"\{(claim\.[A-Za-z0-9_.-]+)\}")


@dataclass(frozen=True, slots=True)
class Target:
    """The method, host and path of a request, read once."""

    method: str
    host: str
    raw: bytes
    query: bytes
    canonical: str | None
    """None if the path is ambiguous."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Action and resource of a request."""

    action: str
    resource: str
    path: str
    """The path as text."""
    route: Route


def read_target(check: CheckRequest) -> Target:
    """The target of a request.

    Raises
    ------
    MappingError
        the method is not one; the target is too long, or has a fragment.
    """
    if not _METHOD.fullmatch(check.method):
        raise MappingError("bad_method", "there is no method", "$.method")
    if len(check.target) > MAX_TARGET:
        raise MappingError("too_long", f"the target has more than {MAX_TARGET} bytes", "$.path")
    path, query = split_target(check.target)
    try:
        canonical = canonical_path(path)
    except MappingError:
        canonical = None
    return Target(check.method, read_host(check.host), path, query, canonical)


def read_host(text: str) -> str:
    """The host without port and final dot, in lower case; empty if it is not one."""
    host, colon, port = text.lower().partition("]") if text.startswith("[") else text.lower().partition(":")
    if text.startswith("["):
        if not colon or (port and not _PORT.fullmatch(port)):
            return ""
        return host + "]"
    if colon and not _PORT.fullmatch(colon + port):
        return ""
    return host.removesuffix(".")


class Route:
    """One `[[extauthz.route]]`, compiled.

    Raises
    ------
    SourceError
        it is not configured right.
    """

    def __init__(self, section: RouteSection, at: str) -> None:
        self.body = {name: read_pointer(text, f"{at}.body.{name}") for name, text in section.body.items()}
        self.body_limit = section.body_limit
        self._is_raw = section.path == "raw"
        self._host, self._suffix = _host(section.host, f"{at}.host")
        if section.match is not None and section.prefix is not None:
            raise config_error("`match` and `prefix` are both given", at, "keep one of them")
        captures: set[str] = set()
        self._rest: frozenset[str] = frozenset()
        self._method: str | None = None
        self._pattern: re.Pattern[str] | None = None
        self._prefix = "/"
        if section.match is not None:
            self._method, self._pattern, captures, self._rest = _compiled(section.match, f"{at}.match")
        else:
            self._prefix = _literal(section.prefix or "/", f"{at}.prefix")
        self._api = section.api
        self._action: Template | None = None
        self._resource: Template | None = None
        if section.api is not None:
            if section.action is not None or section.resource is not None:
                raise config_error("`api` is given with `action` or `resource`", at, "keep one of the two forms")
            _check(lambda: check_resource(f"{section.api}/GET/x"), f"{at}.api")
            if section.api == "*" or section.api.endswith("/"):
                raise config_error(f"`{section.api}` is not an API", f"{at}.api", "write its ARN without method and path")
        elif section.action is None or section.resource is None:
            raise config_error("one of `api` and `action` with `resource` is needed", at, "see docs/envoy.md")
        else:
            names = captures | {"method", "host"}
            self._action = Template(section.action, names | set(_CLAIM.findall(section.action)), f"{at}.action")
            self._resource = Template(section.resource, names | set(_CLAIM.findall(section.resource)), f"{at}.resource")
            if self._rest & (set(self._action.names) | set(self._resource.names[:-1])):
                raise config_error(
                    "a capture of the rest of a path must be at the end", f"{at}.resource", "two paths would be one"
                )
            action, resource = self._action.sample(), self._resource.sample()
            _check(lambda: check_action(action), f"{at}.action")
            _check(lambda: check_resource(resource), f"{at}.resource")

    def match(self, target: Target, claims: Mapping[str, Any]) -> Matched | None:
        """Action and resource, if the route matches.

        Raises
        ------
        MappingError
            it matches, but the path is ambiguous, or there is no action or resource.
        """
        if not self._matches_host(target.host):
            return None
        if self._method is not None and self._method != target.method:
            return None
        path = target.canonical
        if self._is_raw:
            path = raw_path(target.raw)
        elif path is None:
            # which path it is, and so which route comes next, is not known
            raise MappingError("ambiguous_path", "the path can be read in two ways", "$.path")
        if self._pattern is not None:
            found = self._pattern.fullmatch(path)
            if found is None:
                return None
            return self._matched(target, path, found.groupdict(), claims)
        if path != self._prefix and not path.startswith(self._prefix if self._prefix.endswith("/") else self._prefix + "/"):
            return None
        return self._matched(target, path, {}, claims)

    def _matches_host(self, host: str) -> bool:
        if self._suffix:
            return host.endswith(self._suffix) and len(host) > len(self._suffix)
        return self._host is None or host == self._host

    def _matched(self, target: Target, path: str, captures: Mapping[str, str], claims: Mapping[str, Any]) -> Matched:
        if self._api is not None:
            action, resource = INVOKE, f"{self._api}/{target.method}/{path[1:]}"
        else:
            assert self._action is not None and self._resource is not None
            values = {name: unquote(text) for name, text in captures.items()}
            values |= {"method": target.method, "host": target.host}
            values |= {f"claim.{name}": value for name, value in claims.items() if type(value) is str}
            encoded = {name: "/".join(map(_encoded, captures[name].split("/"))) for name in self._rest}
            action, resource = self._action.render(values), self._resource.render(values, encoded=encoded)
        if len(resource) > MAX_ID:
            raise MappingError("too_long", f"the resource has more than {MAX_ID} characters", "$.path")
        try:
            return Matched(check_action(action), check_resource(resource), path, self)
        except RequestValueError as error:
            raise MappingError("unmapped_resource", error.message, "$.path") from None


def _encoded(segment: str) -> str:
    return encode(unquote(segment))


def _check(call: Any, at: str) -> None:
    try:
        call()
    except RequestValueError as error:
        raise config_error(error.message, at, error.hint) from None


def _host(text: str | None, at: str) -> tuple[str | None, str]:
    """The exact host, or the suffix that it must have."""
    if text is None:
        return None, ""
    name = text.removeprefix("*.")
    if not name or read_host(name) != name or "*" in name or "/" in name:
        raise config_error(f"`{text}` is not a host", at, "write it in lower case, without a port: `orders.example`, `*.example`")
    return (None, "." + name) if text.startswith("*.") else (name, "")


def _literal(text: str, at: str) -> str:
    """A path of the configuration, which must be written as requests are decided."""
    try:
        if text == "/" or canonical_path(text.encode()) == text:
            return text
    except MappingError:
        pass
    raise config_error(f"`{text}` is not a path in its plain form", at, "write for example `/orders`")


def _compiled(text: str, at: str) -> tuple[str | None, re.Pattern[str], set[str], frozenset[str]]:
    """Method, pattern of the path, names of captures, and of those that take the rest."""
    method, blank, path = text.partition(" ")
    if not blank or not _METHOD.fullmatch(method) or not path.startswith("/"):
        raise config_error(f"`{text}` is not a method and a path", at, "write for example `GET /{bucket}/{key...}`")
    segments = path[1:].split("/")
    names: list[str] = []
    rest: list[str] = []
    parts = []
    for i, segment in enumerate(segments):
        found = _CAPTURE.fullmatch(segment)
        if found is None:
            if "{" in segment or "}" in segment:
                raise config_error(f"`{segment}` is not a whole segment", at, "a capture takes a whole segment: `/{id}`")
            parts.append(re.escape(_literal(f"/{segment}", at)[1:]))
            continue
        if found[1] in (*names, "method", "host"):
            raise config_error(f"`{found[1]}` is given twice", at, "choose another name")
        names.append(found[1])
        if found[2]:
            if i != len(segments) - 1:
                raise config_error(f"`{segment}` is not at the end", at, "only the last capture takes the rest")
            rest.append(found[1])
        parts.append(f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})")
    pattern = re.compile("/" + "/".join(parts), re.DOTALL)
    return None if method == "*" else method, pattern, set(names), frozenset(rest)
