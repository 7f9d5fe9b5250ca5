"""`save_engine` writes an engine to a file, `load_engine` maps it. What is mapped decides at once; records are read on demand.

What requests brought is not saved. Rows, which they lead to, are a cache without end on disk, and each would have to be checked
against the stacks that it was made from; one is made in microseconds when it is first asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fastiam.compile.compiler import Compiler
from fastiam.engine.engine_file.file import BROKEN, SavedFile, build, write
from fastiam.engine.engine_file.options import read_options, write_options
from fastiam.engine.engine_file.records import Policies, Records
from fastiam.engine.engine_file.writing import write_records
from fastiam.errors import SourceError
from fastiam.kernel.plan.names import Names
from fastiam.kernel.plan.tables import Tables
from fastiam.kernel.saved.file import attach, dump
from fastiam.kernel.saved.verify import check_tables
from fastiam.model.request import read_context

if TYPE_CHECKING:
    from fastiam.engine.compiled_engine import CompiledEngine

E = TypeVar("E", bound="CompiledEngine")


def save_engine(engine: CompiledEngine, path: str | os.PathLike[str]) -> None:
    """Write the compiled part of an engine.

    Raises
    ------
    SourceError: it cannot be written; what was there is untouched.
    """
    write(path, build(*_parts(engine)))


def load_engine(cls: type[E], path: str | os.PathLike[str], options: Mapping[str, Any]) -> E:
    """An engine over a file, with some options other than those that it was saved with.

    Raises
    ------
    SourceError: it cannot be read, or is no saved engine of this release, whole and as it was written.
    """
    with SavedFile.open(path) as file:
        return _engine_over(cls, file, options)


def engine_bytes(engine: CompiledEngine) -> bytes:
    """What `save_engine` writes."""
    return b"".join(build(*_parts(engine)))


def engine_of(cls: type[E], data: bytes) -> E:
    """An engine over such bytes, of which it keeps what it needs.

    Raises
    ------
    SourceError: another release wrote them.
    """
    return _engine_over(cls, SavedFile(memoryview(data), "a pickled engine"), {})


def _parts(engine: CompiledEngine) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Head and sections. Nothing is dropped meanwhile."""
    compiler, snapshot = engine._compiler, engine.snapshot
    with compiler.building(), compiler.lock:
        sections, numbers = dump(compiler.tables, engine.names)
        policies, actions = compiler.statements.compiled()
        keys = compiler.keys.compiled()
    head = {
        "numbers": numbers,
        "keys": keys,
        "actions": [parts and [part.decode("latin-1") for part in parts] for parts in actions],
        "options": write_options(engine._options),
    }
    return head, {**sections, **write_records(snapshot.tables, policies)}


def _engine_over(cls: type[E], file: SavedFile, options: Mapping[str, Any]) -> E:
    try:
        return _attached(cls, file, options)
    except SourceError:  # it is a ValueError, too
        raise
    except BROKEN as error:
        raise file.impossible(error) from None


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
    engine = cls._over(None, compiler, names, options, read_context(options["context_defaults"]))
    engine._records = records
    return engine
