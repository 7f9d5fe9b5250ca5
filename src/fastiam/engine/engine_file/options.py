"""The options of an engine as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastiam.directory.record_codec import codec_of
from fastiam.model.profile import Settings
from fastiam.model.request import canonical_text

_SETTINGS = codec_of(Settings)
_UNKNOWN_OWNER = ("principal", "deny")


def write_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an engine as JSON. Defaults of context keys become their canonical text (C24)."""
    defaults = {name: _plain(name, value) for name, value in options["context_defaults"].items()}
    return {**options, "context_defaults": defaults, "settings": _SETTINGS.write(options["settings"])}


def _plain(name: str, value: object) -> object:
    if value is None:
        return None
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [canonical_text(item, name) for item in value]
    return canonical_text(value, name)


def read_options(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What `write_options` wrote.

    Raises
    ------
    ValueError, TypeError, LookupError
        something else.
    """
    options = {**plain, "settings": _SETTINGS.read(plain["settings"])}
    if options["unknown_owner"] not in _UNKNOWN_OWNER or type(options["cache_bytes"]) is not int:
        raise ValueError("an option has a value that it cannot have")
    return options
