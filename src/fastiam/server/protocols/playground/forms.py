"""Forms of the playground: fields, limits, and documents in a text area."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from fastiam.errors import FastiamError, RequestValueError

MAX_DOCUMENTS: Final = 32
MAX_CHARACTERS: Final = 131_072
_MAX_FIELDS: Final = 64
_SPACE: Final = " \t\r\n"

# The text areas of policies, by their name in the form. Each holds documents one after the other.
LAYERS: Final = {
    "identity": "Identity policies",
    "resource_policy": "Resource policy",
    "boundary": "Permissions boundary",
    "session": "Session policies",
    "scps": "SCPs, one document for each level, root first",
    "rcps": "RCPs, one document for each level, root first",
    "endpoint": "VPC endpoint policy",
}


class FormError(FastiamError):
    """A form cannot be read, or is larger than a limit."""


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of a form, each once.

    Raises
    ------
    FormError
        no form, too many fields, or a field twice.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise FormError("the form cannot be read") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise FormError("a field of the form is there twice")
    return fields


@dataclass(frozen=True, slots=True)
class DecideForm:
    """The request and the policies of the page Decide, as texts."""

    principal: str = ""
    action: str = ""
    resource: str = ""
    resource_account: str = ""
    context: str = ""
    unknown: str = ""
    is_strict: bool = False
    documents: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> DecideForm:
        """The form of the fields of a request."""
        texts = {name: fields.get(name, "").strip() for name in ("principal", "action", "resource", "resource_account")}
        return cls(
            **texts,
            context=fields.get("context", ""),
            unknown=fields.get("unknown", ""),
            is_strict=fields.get("mode") == "strict",
            documents={name: fields.get(name, "") for name in LAYERS},
        )

    def split(self) -> dict[str, list[str]]:
        """The documents of each text area.

        Raises
        ------
        FormError
            more documents, or longer ones, than allowed.
        """
        split = {name: documents_of(text) for name, text in self.documents.items()}
        count = sum(map(len, split.values()))
        if count > MAX_DOCUMENTS:
            raise FormError(f"{count} documents, and at most {MAX_DOCUMENTS} are allowed")
        for name, documents in split.items():
            if any(len(document) > MAX_CHARACTERS for document in documents):
                raise FormError(f"a document of {LAYERS[name]} has more than {MAX_CHARACTERS:,} characters")
        return split


def documents_of(text: str) -> list[str]:
    """The JSON values of a text, one after the other; what is not JSON is one document, whose error names its place."""
    decoder, at = json.JSONDecoder(), 0
    documents: list[str] = []
    while True:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if at == len(text):
            return documents
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return [*documents, text[at:].rstrip(_SPACE)]
        documents.append(text[at:end])
        at = end


def context_of(text: str) -> dict[str, Any]:
    """The context of a text: a JSON object, or lines `key = value`, where a key of several lines has several values.

    Raises
    ------
    RequestValueError
        a line without `=`, or JSON that is not an object.
    """
    if text.lstrip().startswith("{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RequestValueError(f"not JSON: {error}", column="context") from None
        return dict(value)
    found: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            hint = "write `aws:SourceIp = 203.0.113.9`, one value in each line, or a JSON object"
            raise RequestValueError(f"line {number} has no key and value", column="context", hint=hint)
        present = found.get(key)
        found[key] = value if present is None else [*present, value] if isinstance(present, list) else [present, value]
    return found
