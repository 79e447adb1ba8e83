"""How a read-only transaction begins: what is set for it, and what tells its clock, its snapshot and its server."""

from __future__ import annotations

__all__ = ["BEGIN", "FIRST_TO_TIME_EACH", "FIRST_WITH_FENCE", "RAW", "settings", "standing_of"]

# Everything is set in the transaction, so that a pooler between us and the server does no harm.
# By a SELECT, because each SET would be a statement of its own in the server's statistics and logs.
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
SETTINGS = {
    "TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "extra_float_digits": "3", "bytea_output": "hex",
}  # fmt: skip
# Such a database holds bytes and no texts: to make UTF-8 of them the server would refuse a page for one that are none.
RAW = {"client_encoding": "SQL_ASCII"}
FIRST_WITH_FENCE = 100_000  # PostgreSQL 10: snapshots as documented
FIRST_TO_TIME_EACH = 110_000  # PostgreSQL 11: of statements sent in one go each has the timeout to itself
FIRST_WITH_PG_SNAPSHOT = 130_000  # before 13 the same functions are called txid_*
# A standby knows everything up to the last commit it has replayed, and no more: also when all that was received is
# replayed, for what the primary has not shipped yet may be older than now.
CLOCK = """CASE WHEN pg_is_in_recovery()
 THEN coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()) ELSE now() END"""


def standing_of(version: int, identity: str) -> str:
    """What tells a transaction's clock and snapshot, and which server answers."""
    if version < FIRST_WITH_FENCE:
        return f"floor(extract(epoch FROM now()) * 1000)::bigint, NULL, NULL, {identity}"
    if version < FIRST_WITH_PG_SNAPSHOT:
        xmax = "txid_snapshot_xmax(txid_current_snapshot())"
        snapshot = f"txid_snapshot_xmin(txid_current_snapshot()), {xmax} + age((({xmax}) % 4294967296)::text::xid)"
    else:
        # A snapshot's xmax is one past the last id that ended; its age leads to the next one that will be given out.
        xmax = "pg_snapshot_xmax(pg_current_snapshot())"
        snapshot = f"pg_snapshot_xmin(pg_current_snapshot()), {xmax}::text::bigint + age({xmax}::xid)"
    return f"floor(extract(epoch FROM {CLOCK}) * 1000)::bigint, {snapshot}, {identity}"


def settings(more: dict[str, str], path: str = "") -> str:
    """What sets the transaction's settings. `path`: an expression of another search path."""
    values = {name: f"'{value}'" for name, value in {**SETTINGS, **more}.items()}
    if path:
        values["search_path"] = path
    return ", ".join(f"set_config('{name}', {value}, true)" for name, value in values.items())
