"""The SQLite tables of a store, and the migration of stores of older releases.

Each record is one row with the number of the commit that wrote it last, so that an index finds what has changed since a commit. A
removed record stays as a row without body until all readers can have seen its removal (`horizon`).
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x6649414D  # "fIAM": distinguishes a store from other SQLite files

# The statements of each version. A released version never changes: stores that have run it do not run it again.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "INSERT INTO counters VALUES ('commit', 0), ('horizon', 0), ('records', 0)",
        "CREATE TABLE tables (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
        """
        CREATE TABLE records (
            id INTEGER PRIMARY KEY,  -- in the order in which records came into being
            table_id INTEGER NOT NULL REFERENCES tables (id),
            key TEXT NOT NULL,
            body TEXT,  -- JSON; NULL where the record was removed
            checksum INTEGER NOT NULL,  -- CRC-32 of table, key and body
            commit_id INTEGER NOT NULL,
            UNIQUE (table_id, key)
        ) STRICT
        """,
        "CREATE INDEX records_by_commit ON records (commit_id)",
        "CREATE INDEX removed_records ON records (commit_id) WHERE body IS NULL",
    ),
)


def version_of(connection: sqlite3.Connection) -> int | None:
    """The version of a store; 0 for an empty database, None for another database."""
    (application,), (version,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version"))
    if application == APPLICATION_ID:
        return int(version)
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return None if application or version or objects else 0


def migrate(connection: sqlite3.Connection) -> None:
    """Run the missing versions in one transaction. Only one of several processes runs them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[version_of(connection) or 0 :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
