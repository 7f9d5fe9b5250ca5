"""Policy documents that a test file has, or names by a path: ad-hoc policies by layer, and session policies (T1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastiam.directory.stored_policies import PolicyLike, text_of_parsed
from fastiam.errors import DirectoryError
from fastiam.sources.located_values import LocatedValue
from fastiam.testing.file_paths import file_inside, path_inside
from fastiam.testing.file_values import Variables, error

_LEVELS = ("scps", "rcps")
_ARGUMENTS = {
    "identity": "identity_policies",
    "boundary": "permissions_boundary",
    "session": "session_policies",
    "resource": "resource_policy",
    "endpoint": "vpc_endpoint_policies",
}


@dataclass(slots=True)
class Documents:
    """Reads documents below a root. `files` is the file of each argument of `simulate`, for messages."""

    root: Path
    folder: Path
    variables: Variables
    files: dict[str, str] = field(default_factory=dict)

    def one(self, given: LocatedValue, argument: str = "") -> PolicyLike:
        """Return a document, or the content of the file that a path names."""
        if isinstance(given.value, dict):
            self.files[argument] = given.source.name
            try:
                return text_of_parsed(given.value)
            except DirectoryError as failed:
                raise error(given, failed.message, "TEST-SOURCE") from None
        text = self.variables.text(given)
        path = path_inside(self.root, self.folder, given, text)
        self.files[argument] = text
        return file_inside(self.root, path, given, text, text).data

    def of_list(self, given: LocatedValue, argument: str = "") -> list[PolicyLike]:
        """Return one document, or each of a list."""
        items = given.items() if isinstance(given.value, list) else [given]
        return [self.one(item, f"{argument}[{i}]") for i, item in enumerate(items)]

    def layers(self, layers: Mapping[str, LocatedValue]) -> dict[str, Any]:
        """Return the arguments of `fastiam.simulate`."""
        found: dict[str, Any] = {}
        for layer, given in layers.items():
            if layer in _LEVELS:
                found[layer] = [self.of_list(level, f"{layer}[{i}]") for i, level in enumerate(given.items())]
            elif layer == "resource":
                found["resource_policy"] = self.one(given, "resource_policy")
            else:
                found[_ARGUMENTS[layer]] = self.of_list(given, _ARGUMENTS[layer])
        return found
