"""The tables of a state in PostgreSQL, and how older ones become newer ones.

They are those of state/migrations.py, in a schema of their own; `lease`, `fence` and `member` come on top. All changes of a version are one
transaction, and the version is a row of it.
"""

from __future__ import annotations

__all__ = ["MIGRATIONS", "SCHEMA", "VERSION"]

SCHEMA = "smartico_sync"

FIRST = (
    "CREATE TABLE version (number integer NOT NULL)",
    "INSERT INTO version VALUES (0)",
    # `mark`: a keyed hash that tells whether a member has the same secret; the secret itself is never here.
    # `moved`: where the state went, so that nobody goes on with this one, or begins anew in its place.
    "CREATE TABLE identity (state_id text NOT NULL, mark bytea NOT NULL, moved text NOT NULL DEFAULT '')",
    # The highest generation of each identity whose event ids were ever begun anew; a new state takes it over.
    "CREATE TABLE generation (identity text PRIMARY KEY, number integer NOT NULL)",
    # A change that is to be refused as a whole says so in the middle of it.
    """CREATE FUNCTION required(there boolean, what text) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN IF NOT there THEN RAISE EXCEPTION USING ERRCODE = 'SY001', MESSAGE = what; END IF; END $$""",
    # Who holds what, by the clock of this database. `holder` is new for each time it is taken, and null after a clean end;
    # `ended` tells how the holder before it ended, `configuration` what views it has.
    """CREATE TABLE lease (
        name text PRIMARY KEY,
        holder uuid,
        member text NOT NULL,
        since timestamptz NOT NULL,
        expires timestamptz NOT NULL,
        configuration text NOT NULL,
        ended text NOT NULL
    )""",
    # Every transaction replaces the token it knows of: what comes from a member that lost the lease, or from a connection
    # that was given up, finds another one and changes nothing. Apart from `lease`, so that renewing waits for no commit.
    "CREATE TABLE fence (name text PRIMARY KEY, token uuid NOT NULL) WITH (fillfactor = 50)",
    """CREATE TABLE view (
        no integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL UNIQUE,
        identity text NOT NULL UNIQUE,
        formats integer NOT NULL,
        head text,
        watermark text,
        late text NOT NULL,
        definition text NOT NULL,
        started_from text NOT NULL,
        updated_ms bigint NOT NULL,
        generation integer NOT NULL,
        seal bytea NOT NULL,
        level_ms bigint NOT NULL DEFAULT 0,
        sent_ms bigint,
        start_head text,
        start_seq bigint NOT NULL DEFAULT 0,
        fingerprints text NOT NULL DEFAULT 'trusted'
    ) WITH (fillfactor = 50)""",
    "CREATE TABLE start (name text PRIMARY KEY, start_from text NOT NULL)",
    "CREATE TABLE total (view_no integer NOT NULL, name text NOT NULL, n bigint NOT NULL, PRIMARY KEY (view_no, name)) WITH (fillfactor = 50)",
    # 100 million rows of it are 9.7 GB. A tenth of each page stays free: a profile that changes stays in its page.
    """CREATE TABLE profile (
        view_no integer NOT NULL, id bigint NOT NULL, cursor_at bigint, whole bytea NOT NULL, parts bytea,
        PRIMARY KEY (view_no, id)
    ) WITH (fillfactor = 90)""",
    """CREATE TABLE letter (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        view_no integer NOT NULL,
        key text NOT NULL,
        position text NOT NULL,
        content text NOT NULL,
        eid text NOT NULL,
        event_type text NOT NULL,
        code integer NOT NULL,
        reason text NOT NULL,
        fingerprint text NOT NULL,
        player bigint NOT NULL,
        at_ms bigint NOT NULL,
        next_try_ms bigint,
        deadline_ms bigint,
        tries integer,
        UNIQUE (view_no, event_type, key, position, content)
    )""",
    "CREATE INDEX letter_due ON letter (view_no, next_try_ms) WHERE next_try_ms IS NOT NULL",
    "CREATE INDEX letter_player ON letter (view_no, player, id) WHERE next_try_ms IS NOT NULL",
    """CREATE TABLE ledger (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        view_no integer NOT NULL,
        at_ms bigint NOT NULL,
        low_ms bigint NOT NULL,
        high_ms bigint NOT NULL,
        n integer NOT NULL,
        keys bytea NOT NULL
    )""",
    "ALTER TABLE ledger ALTER COLUMN keys SET STORAGE EXTERNAL",  # hashes do not compress: trying costs time
    "CREATE INDEX ledger_seq ON ledger (view_no, seq)",
    "CREATE INDEX ledger_range ON ledger (view_no, high_ms, low_ms)",
    "CREATE TABLE ledger_count (view_no integer NOT NULL, bucket bigint NOT NULL, n bigint NOT NULL, PRIMARY KEY (view_no, bucket)) WITH (fillfactor = 50)",
    "CREATE TABLE ahead (view_no integer NOT NULL, key bigint NOT NULL, cursor_ms bigint NOT NULL, PRIMARY KEY (view_no, key))",
    """CREATE TABLE anchor (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        view_no integer NOT NULL,
        position text NOT NULL,
        cursor_ms bigint NOT NULL,
        print bigint NOT NULL,
        player bigint NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX anchor_view ON anchor (view_no, seq)",
    """CREATE TABLE backfill (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        view_no integer NOT NULL,
        low text NOT NULL,
        high text NOT NULL,
        rate integer NOT NULL,
        profiles text NOT NULL,
        position text,
        total bigint NOT NULL,
        done bigint NOT NULL DEFAULT 0,
        state text NOT NULL DEFAULT 'open',
        reason text NOT NULL DEFAULT '',
        asked_ms bigint NOT NULL,
        updated_ms bigint NOT NULL
    )""",
    "CREATE TABLE told_set (view_no integer NOT NULL, id bigint NOT NULL, property text NOT NULL, names bytea NOT NULL, PRIMARY KEY (view_no, id, property))",
    "CREATE TABLE told_name (identity text NOT NULL, property text NOT NULL, name bytea NOT NULL, PRIMARY KEY (identity, property, name))",
    "CREATE TABLE lane (view_no integer NOT NULL, name text NOT NULL, next bigint NOT NULL, epoch text NOT NULL, seal bytea NOT NULL, PRIMARY KEY (view_no, name))",
    "CREATE TABLE body (view_no integer NOT NULL, place text NOT NULL, sealed bytea NOT NULL, PRIMARY KEY (view_no, place))",
    "CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, view_no integer NOT NULL, salt bytea NOT NULL, sealed bytea NOT NULL)",
    "ALTER TABLE outbox ALTER COLUMN sealed SET STORAGE EXTERNAL",  # what is sealed does not get smaller
)

GROUPS = (
    # Who is there, working or standing by, and by which configuration of each group: `groups` maps a group's name to a hash of it.
    """CREATE TABLE member (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        since timestamptz NOT NULL,
        expires timestamptz NOT NULL,
        groups jsonb NOT NULL
    )""",
    # `member_id`: which of them holds it. `wanted`: the name of the member that an operator wants to hold it.
    "ALTER TABLE lease ADD member_id uuid, ADD wanted text NOT NULL DEFAULT ''",
)

SHARED_TOPICS = (
    # A lease beside those of a group: `shares` names the group whose topics its holder reads together with other members.
    "ALTER TABLE lease ADD shares text NOT NULL DEFAULT ''",
    # The holder of the lease under which a lane is read: what another one says of the lane is refused. Null after a clean end.
    # `level`: whether all that it held was read once, where members share it.
    "ALTER TABLE lane ADD owner uuid, ADD level boolean NOT NULL DEFAULT false",
    # A page of a topic that members share is of one lane, and goes to another member with it.
    "ALTER TABLE outbox ADD lane text NOT NULL DEFAULT ''",
    # What several members may send under one token; `account` is a keyed hash of it. A bucket, by the clock of this database.
    """CREATE TABLE budget (
        account bytea PRIMARY KEY, level double precision NOT NULL, filled timestamptz NOT NULL, granted bigint NOT NULL
    ) WITH (fillfactor = 50)""",
)

REGROUPED = (
    # A group's name is the configuration's: where that changes, the views tell that a lease of another name is theirs, too.
    "ALTER TABLE lease ADD views text[] NOT NULL DEFAULT '{}'",
    "ALTER TABLE member ADD views jsonb NOT NULL DEFAULT '{}'",  # of each group, by its name
)

# Each further element brings the tables to the next version.
MIGRATIONS: tuple[tuple[str, ...], ...] = (FIRST, GROUPS, SHARED_TOPICS, REGROUPED)
VERSION = len(MIGRATIONS)
