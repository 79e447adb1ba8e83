"""The tables of the state, and how an older file becomes a newer one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.state.outbox import OUTBOX

if TYPE_CHECKING:
    import sqlite3

__all__ = ["APPLICATION_ID", "FIRST_VERSION", "MIGRATIONS", "VERSION", "migrate"]

APPLICATION_ID = 0x534D5359  # "SMSY": tells our file from any other SQLite file
FIRST_VERSION = 4  # files below it hold event ids and hashes of formats that are not written any more

FIRST = (
    "CREATE TABLE identity (state_id TEXT NOT NULL) STRICT",
    """CREATE TABLE view (
        no INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        identity TEXT NOT NULL UNIQUE, -- what event ids are made of; a rename of the view leaves it as it is
        formats INTEGER NOT NULL,      -- of its event ids, ledger keys and fingerprints
        head TEXT,                     -- JSON [cursor, key…]; as are all positions
        watermark TEXT,
        late TEXT NOT NULL,
        definition TEXT NOT NULL,      -- JSON, see core/definition.py
        started_from TEXT NOT NULL,
        updated_ms INTEGER NOT NULL,
        generation INTEGER NOT NULL,   -- how often event ids were begun anew because the source gave out its ids again
        seal BLOB NOT NULL,            -- keyed hash of the above: a flipped bit here could lose rows
        level_ms INTEGER NOT NULL DEFAULT 0, -- when it first had nothing more to read: its first load is over
        sent_ms INTEGER                -- rows up to this cursor_ms may have been sent; written before they are
    ) STRICT""",
    # Where views begin that are not there yet, in place of their `start_from`.
    "CREATE TABLE start (name TEXT PRIMARY KEY, start_from TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE total (
        view_no INTEGER NOT NULL, name TEXT NOT NULL, n INTEGER NOT NULL,
        PRIMARY KEY (view_no, name)
    ) STRICT, WITHOUT ROWID""",
    # `cursor_at` (epoch µs of a time, or the id): of the row that was accepted last; an older one never goes after it.
    """CREATE TABLE profile (
        view_no INTEGER NOT NULL, id INTEGER NOT NULL, whole BLOB NOT NULL, parts BLOB, cursor_at INTEGER,
        PRIMARY KEY (view_no, id)
    ) STRICT, WITHOUT ROWID""",
    # Dead letters and parked rows are one thing at two stages: parked ones have a next try. `player`: what comes after it
    # for the same player waits behind it. `content` tells the rows of a keyless view apart, and is empty where there is a key.
    """CREATE TABLE letter (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        view_no INTEGER NOT NULL,
        key TEXT NOT NULL,
        position TEXT NOT NULL,
        content TEXT NOT NULL,
        eid TEXT NOT NULL,
        event_type TEXT NOT NULL,
        code INTEGER NOT NULL,
        reason TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        player INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        next_try_ms INTEGER,
        deadline_ms INTEGER,
        tries INTEGER,
        UNIQUE (view_no, event_type, key, position, content)
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
    # Rows dated ahead of the clock that were sent before their time, until it has come.
    """CREATE TABLE ahead (
        view_no INTEGER NOT NULL, key INTEGER NOT NULL, cursor_ms INTEGER NOT NULL,
        PRIMARY KEY (view_no, key)
    ) STRICT, WITHOUT ROWID""",
    # Rows delivered last: whether they still exist tells a restored source.
    """CREATE TABLE anchor (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        view_no INTEGER NOT NULL,
        position TEXT NOT NULL,
        cursor_ms INTEGER NOT NULL,
        print INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX anchor_view ON anchor (view_no)",
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

STARTS = (
    # Where a view began, and the last ledger page of what was there then: those rows are known and were not sent.
    "ALTER TABLE view ADD COLUMN start_head TEXT",
    "ALTER TABLE view ADD COLUMN start_seq INTEGER NOT NULL DEFAULT 0",
)

RESTORES = (
    # Whether a process has the state open, or ended without closing it: then it may be behind what was sent.
    "ALTER TABLE identity ADD COLUMN opened INTEGER NOT NULL DEFAULT 0",
    # Doubted: profiles were delivered that the view's fingerprints know nothing of.
    "ALTER TABLE view ADD COLUMN fingerprints TEXT NOT NULL DEFAULT 'trusted'",
)

ORDER = (
    # What waits of a player, in order.
    "CREATE INDEX letter_player ON letter (view_no, player, id) WHERE next_try_ms IS NOT NULL",
)

SETS = (
    # Sets of names that are told by difference, as they were accepted last. Both tables are encrypted, see told_sets.py.
    """CREATE TABLE told_set (
        view_no INTEGER NOT NULL, id INTEGER NOT NULL, property TEXT NOT NULL, names BLOB NOT NULL,
        PRIMARY KEY (view_no, id, property)
    ) STRICT, WITHOUT ROWID""",
    # Every name that was ever on its way, written before it left; by the identity of a view, also of one that is yet to begin.
    """CREATE TABLE told_name (
        identity TEXT NOT NULL, property TEXT NOT NULL, name BLOB NOT NULL,
        PRIMARY KEY (identity, property, name)
    ) STRICT, WITHOUT ROWID""",
)

ERASURE = (
    # Whose row it is, so that those of an erased player can be told from a restored source; 0 in rows from before.
    "ALTER TABLE anchor ADD COLUMN player INTEGER NOT NULL DEFAULT 0",
)

STREAMS = (
    # How far the messages of each topic's partition are dealt with; `epoch` names the topic, `seal` is a keyed hash of the row.
    """CREATE TABLE lane (
        view_no INTEGER NOT NULL, name TEXT NOT NULL, next INTEGER NOT NULL, epoch TEXT NOT NULL, seal BLOB NOT NULL,
        PRIMARY KEY (view_no, name)
    ) STRICT, WITHOUT ROWID""",
)

BODIES = (
    # Messages of undelivered rows that the broker does not show again; `sealed`: see state/bodies.py.
    """CREATE TABLE body (
        view_no INTEGER NOT NULL, place TEXT NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (view_no, place)
    ) STRICT, WITHOUT ROWID""",
)

PROFILE_LOG = (
    # Profiles that came last, on their way into the table `profile`; see state/profile_log.py.
    """CREATE TABLE profile_log (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        view_no INTEGER NOT NULL,
        n INTEGER NOT NULL,
        sum INTEGER NOT NULL,
        page BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX profile_log_view ON profile_log (view_no, seq, n)",  # the pages of a view and their sizes, without reading them
)

# Each further element brings a file to the next version.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    FIRST,
    STARTS,
    RESTORES,
    ORDER,
    SETS,
    ERASURE,
    STREAMS,
    BODIES,
    OUTBOX,
    PROFILE_LOG,
)
VERSION = FIRST_VERSION + len(MIGRATIONS) - 1


def migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Bring the file to the newest version, each step in one transaction; a step that fails leaves the one before.

    The file is empty, or of FIRST_VERSION or later. The connection is in autocommit mode. Raises sqlite3.Error.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(migrations, start=FIRST_VERSION):
        if number <= version:
            continue
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
