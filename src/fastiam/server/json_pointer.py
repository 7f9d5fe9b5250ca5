"""JSON pointers (RFC 6901) of the configuration."""

from __future__ import annotations

from fastiam.server.mapping import config_error

Pointer = tuple[str, ...]


def read_pointer(text: str, at: str) -> Pointer:
    """The names of a pointer to a member; `at` is its place in the configuration.

    Raises
    ------
    SourceError
        it does not begin with `/`, or has no name.
    """
    if not text.startswith("/") or text == "/":
        raise config_error(f"`{text}` is not a JSON pointer", at, "write for example `/subject/id`")
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in text[1:].split("/"))
