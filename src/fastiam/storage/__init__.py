"""The storage backend of a directory: one SQLite file (docs/store.md)."""

from fastiam.storage.schema import is_sqlite
from fastiam.storage.sqlite_backend import SqliteBackend

__all__ = ["SqliteBackend", "is_sqlite"]
