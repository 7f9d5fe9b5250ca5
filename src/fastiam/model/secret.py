"""Values that representations and tracebacks do not show."""

from __future__ import annotations

from typing import Self, SupportsIndex, overload


class Secret(str):
    """A text whose representation is `<secret>`. `str.join`, formatting and comparisons use the text."""

    __slots__ = ()

    def __new__(cls, text: str = "") -> Self:
        if not isinstance(text, str):
            kind = type(text).__name__
            del text  # not into a traceback
            raise TypeError(f"a secret must be text, not `{kind}`")
        return super().__new__(cls, text)

    def __repr__(self) -> str:
        return "<secret>"

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> SecretBytes:
        """The text as bytes, which stay hidden."""
        return SecretBytes(super().encode(encoding, errors))


class SecretBytes(bytes):
    """Bytes whose representation is `<secret>`, slices and the decoded text included."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> SecretBytes: ...
    def __getitem__(self, key: SupportsIndex | slice, /) -> int | SecretBytes:
        return SecretBytes(super().__getitem__(key)) if isinstance(key, slice) else super().__getitem__(key)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> Secret:
        """The bytes as text, which stays hidden."""
        return Secret(super().decode(encoding, errors))


def hidden(text: str) -> Secret:
    """The text as a `Secret`; PERF: one that is a `Secret` already is returned as it is."""
    return text if type(text) is Secret else Secret(text)
