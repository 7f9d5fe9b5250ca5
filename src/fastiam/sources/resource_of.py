"""The ARNs that a caller gives for files with one policy: `resource_of`, on the command line `--resource-of FILE=ARN`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fastiam.errors import SourceError
from fastiam.model.arguments import as_path
from fastiam.model.arn import split_arn
from fastiam.model.request import shorten
from fastiam.sources.located_values import LocatedValue


@dataclass(slots=True)
class ResourceOf:
    """The ARNs that the caller gives for files, by absolute path. `unused` are those that no file has needed so far."""

    given: Mapping[Path, str] = field(default_factory=dict)
    unused: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, resource_of: Mapping[str | os.PathLike[str], str]) -> ResourceOf:
        """Check the ARNs.

        Raises
        ------
        SourceError
            a value is not an ARN, or two keys are the same file.
        """
        given: dict[Path, str] = {}
        for file, arn in resource_of.items():
            path = _absolute(as_path(file, "resource_of"))
            if not isinstance(arn, str) or split_arn(arn) is None:
                raise SourceError(f"`{shorten(str(arn))}` is not an ARN", source=str(file), path="", hint="write `FILE=arn:...`")
            if given.setdefault(path, arn) != arn:
                raise SourceError("two ARNs are given for the file", source=str(file), path="")
        return cls(given, dict(given))

    def arn(self, node: LocatedValue) -> str | None:
        """Return the ARN of the file of a value, None if there is none."""
        path = _absolute(Path(node.source.name))
        self.unused.pop(path, None)
        return self.given.get(path)

    def check_used(self) -> None:
        """Check that each ARN belongs to a file that was read and needs it."""
        for path, arn in self.unused.items():
            message = f"`{shorten(arn)}` is given for the file, which was not read, or contains no policy without an owner"
            raise SourceError(message, source=str(path), path="", hint="give the path of a file among those to load")


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))
