"""`save_engine` writes an engine to a file, and `load_engine` maps it. Records of the directory are read on demand.

Run-time entries are not saved. Plans would be an unbounded cache on disk, and each would have to be verified against the policy
sets that it was built from. Building one on first use takes microseconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fastiam.compile.compiler import Compiler
from fastiam.engine.engine_file.file import BROKEN, SavedFile, build, write
from fastiam.engine.engine_file.options import read_options, write_options
from fastiam.engine.engine_file.saved_directory import Policies, Records
from fastiam.engine.engine_file.writing import write_records
from fastiam.engine.resolving import Resolver
from fastiam.errors import SourceError
from fastiam.kernel.plan.names import Names
from fastiam.kernel.plan.tables import Tables
from fastiam.kernel.saved.file import attach, check_tables, dump
from fastiam.model.request import read_context

if TYPE_CHECKING:
    from fastiam.api.engine import Engine

E = TypeVar("E", bound="Engine")


def save_engine(engine: Engine, path: str | os.PathLike[str]) -> None:
    """Write the compiled part of an engine.

    Raises
    ------
    SourceError
        the file cannot be written; an existing file is unchanged.
    """
    write(path, build(*_parts(engine)))


def load_engine(cls: type[E], path: str | os.PathLike[str], options: Mapping[str, Any]) -> E:
    """Load an engine from a file; `options` replace some of the saved ones.

    Raises
    ------
    SourceError
        it cannot be read, or is not a saved engine of this release, complete and unchanged.
    """
    with SavedFile.open(path) as file:
        return engine_over(cls, file, options)


def engine_over(cls: type[E], file: SavedFile, options: Mapping[str, Any]) -> E:
    """Load an engine from a file whose checksums are right; `options` replace some of the saved ones.

    Raises
    ------
    SourceError
        the checksums are right, and what they cover is not.
    """
    try:
        return _attached(cls, file, options)
    except SourceError:  # it is a ValueError, too
        raise
    except BROKEN as error:
        raise file.impossible(error) from None


def engine_bytes(engine: Engine) -> bytes:
    """Return the bytes that `save_engine` writes."""
    return b"".join(build(*_parts(engine)))


def engine_of(cls: type[E], data: bytes) -> E:
    """Load an engine from such bytes; it copies the parts that it needs.

    Raises
    ------
    SourceError
        another release wrote them.
    """
    return engine_over(cls, SavedFile(memoryview(data), "a pickled engine"), {})


def _parts(engine: Engine) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return head and sections. Nothing is evicted meanwhile."""
    compiler, snapshot = engine.resolver.compiler, engine.snapshot
    with compiler.building(), compiler.lock:
        sections, numbers = dump(compiler.tables, engine.names)
        policies, actions = compiler.statements.compiled()
        keys = compiler.keys.compiled()
    head = {
        "numbers": numbers,
        "keys": keys,
        "actions": [parts and [part.decode("latin-1") for part in parts] for parts in actions],
        "options": write_options(engine.resolver.options),
        "families": {key: sorted(families) for key, families in engine.resolver.families_read().items()},
    }
    return head, {**sections, **write_records(snapshot.tables, policies)}


def _attached(cls: type[E], file: SavedFile, others: Mapping[str, Any]) -> E:
    head = file.head
    options = {**read_options(head["options"]), **others}
    keys: list[str] = head["keys"]
    actions = [parts and (parts[0].encode("latin-1"), parts[1].encode("latin-1")) for parts in head["actions"]]
    tables = Tables(index_from=options["index_from"])
    names = Names(tables)
    attach(tables, names, file.data, file.descriptor, file.places, head["numbers"], actions)
    wrong = check_tables(tables, names, keys)
    if wrong is not None:
        raise file.error(f"says something impossible: some {wrong} refer to what is not there")
    compiler = Compiler(options["settings"], tables=tables, keys=keys)
    records = Records(file.section, file.source, compiler.statements.register_policy, tables.first_occurrences())
    compiler.statements.adopt(actions, Policies(records))
    compiler.match_actions()
    compiler.freeze(names)
    families = head.get("families")
    if families is not None:
        families = {key: frozenset(map(str, found)) for key, found in families.items()}
    return cls(Resolver(None, compiler, names, options, read_context(options["context_defaults"]), records, families))
