"""Finds and decompresses files, and reads them as JSON or YAML."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastiam.errors import PolicyError, SourceError
from fastiam.model.arguments import as_path
from fastiam.model.source_map import Source
from fastiam.policy.json_text import parse_json_values
from fastiam.sources.gzip_content import GzipContent
from fastiam.sources.located_values import LocatedValue, ParsedPolicies, SourceFile

_YAML = (".yaml", ".yml")
_KNOWN = (".json", ".jsonl", ".ndjson", *_YAML)


@dataclass(frozen=True, slots=True)
class File:
    """A file. `skipped`: why it is not read, or ""."""

    name: str
    data: bytes
    skipped: str = ""

    def values(self, policies: ParsedPolicies) -> list[LocatedValue]:
        """Return the values of the file: one, or a sequence (JSON Lines, or outputs appended to one file).

        Raises
        ------
        SourceError
            it is neither JSON nor YAML.
        """
        start = self.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if not start:
            raise SourceError("the file is empty", source=self.name)
        if start == b"<":
            raise SourceError("the file is XML, which is not read", source=self.name, hint="export JSON: `--output json`")
        if self.data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise SourceError("not UTF-8 text, but UTF-16", source=self.name, hint="write it with `Out-File -Encoding utf8`")
        if start in (b"{", b"[") and not self.name.removesuffix(".gz").endswith(_YAML):
            return _read_json(self.name, self.data, policies)
        from fastiam.sources.yaml_text import read_yaml  # PERF: JSON needs no parser of YAML

        return [read_yaml(self.name, self.data, policies)]


def read_files(paths: Iterable[str | os.PathLike[str] | File]) -> Iterator[File]:
    """Yield the files of all paths. Folders are searched in order of name, without hidden files. `-` is standard input.

    A `File`, which was read before, stands for itself.
    """
    for given in paths:
        if isinstance(given, File):
            yield given
            continue
        if str(given) == "-":
            yield File("<stdin>", unpacked(sys.stdin.buffer.read(), "<stdin>"))
            continue
        path = as_path(given)
        if not path.exists():
            raise SourceError("file not found", source=str(path))
        if path.is_dir():
            yield from map(_found_in_folder, sorted(p for p in path.rglob("*") if p.is_file() and not _is_hidden(p, path)))
        else:
            yield File(str(path), _read(path))


def _found_in_folder(path: Path) -> File:
    skipped = why_skipped(path.name)
    return File(str(path), b"" if skipped else _read(path), skipped)


def why_skipped(name: str) -> str:
    """Return why a file of a folder is not read, by its name; "" for one that is read."""
    return "" if name.removesuffix(".gz").endswith(_KNOWN) else "its name ends in none of " + ", ".join(_KNOWN)


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"the file cannot be read: {error.strerror}", source=str(path)) from None
    return unpacked(data, str(path))


def unpacked(data: bytes, name: str) -> bytes:
    """Return the content of a file, decompressed if it is gzip.

    Raises
    ------
    SourceError
        broken gzip data, or data beyond the limits of `GzipContent`.
    """
    return GzipContent(io.BytesIO(data), name).read() if data[:2] == b"\x1f\x8b" else data


def _read_json(name: str, data: bytes, policies: ParsedPolicies) -> list[LocatedValue]:
    try:
        values = parse_json_values(data, Source(name))
    except PolicyError as error:
        found = error.findings[0]
        message = found.message.replace("not a policy: ", "")
        raise SourceError(message, source=name, line=found.line, column=found.column) from None
    text = SourceFile(Source(name, data.decode("utf-8-sig")), policies=policies)
    return [LocatedValue(value, text, () if len(values) == 1 else (i,)) for i, value in enumerate(values)]
