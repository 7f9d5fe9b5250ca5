"""Conversion of a directory and the policies of an engine into rows of an engine file."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from fastiam.directory.account_records import Tables
from fastiam.directory.record_codec import FieldCodec, FieldCodecs, tables_of, to_text
from fastiam.directory.stored_policies import FULL_ACCESS, StoredPolicy, missing_policy
from fastiam.engine.engine_file.packing import Packer
from fastiam.engine.engine_file.rows import FULL, NO_ROW, POLICY, SECTIONS, TEXT, PolicyRow, unchanged
from fastiam.engine.engine_file.saved_directory import Policies
from fastiam.model.policy import Policy
from fastiam.model.source_map import Origin


def write_records(tables: Tables, policies: Sequence[Policy]) -> dict[str, bytes]:
    """Return the sections for the records of a directory and for the compiled policies of an engine, by id."""
    writer = _Writer()
    index: dict[str, Any] = {"roles": [[*key, arn] for key, arn in tables.roles.items()]}
    for name, codec in tables_of(Tables, writer.codecs).items():
        value = getattr(tables, name)
        records = value if isinstance(value, Mapping) else {} if value is None else {"": value}
        index[name] = {key: writer.records.add(to_text(codec, record)) for key, record in records.items()}
    if isinstance(policies, Policies):  # of an engine from a file: nothing is read to be written
        numbers = array("I", map(writer.row_of, policies.saved()))
        policies = policies.later
    else:
        numbers = array("I")
    numbers.extend(map(writer.row_of_policy, policies))
    writer.tables.add(json.dumps(index, separators=(",", ":")))
    sections = {"policy_rows": numbers.tobytes()}
    for name in SECTIONS:
        sections[f"rows_of_{name}"], sections[f"index_of_{name}"] = getattr(writer, name).done()
    return sections


class _Writer:
    def __init__(self) -> None:
        self.records, self.policies, self.texts, self.tables = Packer(), Packer(), Packer(), Packer()
        self.codecs = FieldCodecs(FieldCodec(self._stored, unchanged, int))
        self._rows: dict[int, int] = {}  # of stored policies by identity, as everything here: the tables keep them
        self._compiled: dict[int, int] = {}
        self._texts: dict[int, int] = {}
        self._by_content: dict[tuple[object, ...], list[StoredPolicy]] = {}
        self._unparsed: dict[tuple[object, ...], list[StoredPolicy]] = {}
        self._equal: dict[StoredPolicy, tuple[int, Origin | None]] = {}

    def _stored(self, stored: StoredPolicy) -> int:
        if stored is FULL_ACCESS:
            return FULL
        found = self._rows.get(id(stored))
        if found is None:
            found = self._rows[id(stored)] = self._write(stored, stored.origin)
            if stored.is_read:
                self._enter(stored)
            else:
                self._unparsed.setdefault(_called(stored), []).append(stored)
            self._equal[stored] = found, stored.origin
        return found

    def _enter(self, stored: StoredPolicy) -> None:
        """Index a stored policy by its content."""
        self._compiled[id(stored.policy)] = self._rows[id(stored)]
        self._by_content.setdefault(_content_key(stored.policy), []).append(stored)

    def _write(self, stored: StoredPolicy, origin: Origin | None) -> int:
        row = PolicyRow(stored.kind, stored.name, stored.text, stored.arn)
        if origin is not None and not _is_own(origin, stored):
            text = None if origin.source.text is None else self._text(origin.source.text)
            row = PolicyRow(row.kind, row.name, row.text, row.arn, origin.source.name, text, origin.path)
        return self.policies.add(to_text(POLICY, row))

    def _text(self, text: str) -> int:
        found = self._texts.get(id(text))
        if found is None:
            found = self._texts[id(text)] = self.texts.add(to_text(TEXT, text))
        return found

    def row_of(self, stored: StoredPolicy | None) -> int:
        """Return the row of a compiled policy. The directory may no longer have it, or have it as another object."""
        if stored is None:
            return NO_ROW
        if stored is not FULL_ACCESS and id(stored) not in self._rows:
            row, origin = self._equal.get(stored, (NO_ROW, None))
            if row != NO_ROW and origin == stored.origin:
                return row
        return self._stored(stored)

    def row_of_policy(self, policy: Policy) -> int:
        """Return the row of a compiled policy by its parsed form."""
        if policy is FULL_ACCESS.policy:
            return FULL
        found = self._compiled.get(id(policy))
        if found is not None:
            return found
        if policy.origin is not None and policy.origin.source.text is not None:
            own = StoredPolicy.unparsed(policy.origin.source.text, policy.kind, policy.name, policy.arn)
            row, origin = self._equal.get(own, (NO_ROW, None))
            if row != NO_ROW and origin is None and _is_own(policy.origin, own):
                return row
        for stored in self._unparsed.pop(_called(policy), ()):  # each is read once at most, and few have to be
            self._enter(stored)
        for stored in self._by_content.get(_content_key(policy), ()):
            if stored.policy == policy:
                return self._write(stored, policy.origin)
        missing = None if policy.arn is None else missing_policy(policy.arn)
        return NO_ROW if missing is None or missing.policy != policy else self._stored(missing)


def _called(policy: StoredPolicy | Policy) -> tuple[object, ...]:
    return policy.kind, policy.name, policy.arn


def _content_key(policy: Policy) -> tuple[object, ...]:
    """Return a cheap key that equal policies share."""
    return *_called(policy), len(policy.statements)


def _is_own(origin: Origin, stored: StoredPolicy) -> bool:
    """Whether the origin of a policy is its own text."""
    return not origin.path and origin.source.name == (stored.name or "policy") and origin.source.text == stored.text
