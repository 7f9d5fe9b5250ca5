"""Where the books of a directory are kept beyond the process: one SQLite file (docs/store.md)."""

from fastiam.storage.disk import SqliteDisk
from fastiam.storage.schema import is_sqlite

__all__ = ["SqliteDisk", "is_sqlite"]
