"""The tables of the state, and how an older file becomes a newer one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["APPLICATION_ID", "MIGRATIONS", "VERSION", "migrate"]

APPLICATION_ID = 0x534D5359  # "SMSY": tells our file from any other SQLite file

FIRST = (
    "CREATE TABLE identity (state_id TEXT NOT NULL) STRICT",
    """CREATE TABLE view (
        no INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        head TEXT,           -- JSON [cursor, key…]; as are all positions
        watermark TEXT,
        late TEXT NOT NULL,
        definition TEXT NOT NULL,
        started_from TEXT NOT NULL,
        updated_ms INTEGER NOT NULL,
        seal BLOB NOT NULL   -- keyed hash of the above: a flipped bit here could lose rows
    ) STRICT""",
    """CREATE TABLE total (
        view_no INTEGER NOT NULL, name TEXT NOT NULL, n INTEGER NOT NULL,
        PRIMARY KEY (view_no, name)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE profile (
        view_no INTEGER NOT NULL, id INTEGER NOT NULL, whole BLOB NOT NULL, parts BLOB,
        PRIMARY KEY (view_no, id)
    ) STRICT, WITHOUT ROWID""",
    # Dead letters and parked rows are one thing at two stages: parked ones have a next try.
    """CREATE TABLE letter (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        view_no INTEGER NOT NULL,
        key TEXT NOT NULL,
        position TEXT NOT NULL,
        eid TEXT NOT NULL,
        event_type TEXT NOT NULL,
        code INTEGER NOT NULL,
        reason TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        next_try_ms INTEGER,
        deadline_ms INTEGER,
        tries INTEGER,
        UNIQUE (view_no, event_type, key, position)
    ) STRICT""",
    "CREATE INDEX letter_due ON letter (view_no, next_try_ms) WHERE next_try_ms IS NOT NULL",
    # One row per delivered page. AUTOINCREMENT: a sequence number is never used twice, also after pruning.
    """CREATE TABLE ledger (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        view_no INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        low_ms INTEGER NOT NULL,
        high_ms INTEGER NOT NULL,
        n INTEGER NOT NULL,
        keys BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX ledger_seq ON ledger (view_no)",  # every index ends with seq: pages of a view in order of delivery
    # High before low: a range near the present, the usual question, starts its scan near the end.
    "CREATE INDEX ledger_range ON ledger (view_no, high_ms, low_ms)",
    """CREATE TABLE ledger_count (
        view_no INTEGER NOT NULL, bucket INTEGER NOT NULL, n INTEGER NOT NULL,
        PRIMARY KEY (view_no, bucket)
    ) STRICT, WITHOUT ROWID""",
)

SECOND = (
    # Rows delivered last: whether they still exist tells a restored source.
    """CREATE TABLE anchor (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        view_no INTEGER NOT NULL,
        position TEXT NOT NULL,
        cursor_ms INTEGER NOT NULL,
        print INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX anchor_view ON anchor (view_no)",
    # How often event ids were begun anew because the source gave out its ids again.
    "ALTER TABLE view ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",
    # When a view first had nothing more to read: its first load is over.
    "ALTER TABLE view ADD COLUMN level_ms INTEGER NOT NULL DEFAULT 0",
    # Whose row waits: what comes after it for the same player waits behind it.
    "ALTER TABLE letter ADD COLUMN player INTEGER NOT NULL DEFAULT 0",
)

THIRD = (
    # History that was asked for, sent beside what is live: everything after `position` up to `high`.
    """CREATE TABLE backfill (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        view_no INTEGER NOT NULL,
        low TEXT NOT NULL,
        high TEXT NOT NULL,
        rate INTEGER NOT NULL,
        profiles TEXT NOT NULL,
        position TEXT,       -- JSON [cursor, key…]; NULL before the first page
        total INTEGER NOT NULL,
        done INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'open',
        reason TEXT NOT NULL DEFAULT '',
        asked_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL
    ) STRICT""",
)

ORDER = (
    # The cursor (epoch µs of a time, or the id) of the row that was accepted last: an older one never goes after it.
    "ALTER TABLE profile ADD COLUMN cursor_at INTEGER",
    # What waits of a player, in order.
    "CREATE INDEX letter_player ON letter (view_no, player, id) WHERE next_try_ms IS NOT NULL",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (FIRST, SECOND, THIRD, ORDER)
VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Bring the file to the newest version, each step in one transaction; a step that fails leaves the one before.

    The connection is in autocommit mode. Raises sqlite3.Error.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(migrations[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
