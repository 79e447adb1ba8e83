"""What a page costs on its way through the core, in microseconds an event: `python -m bench.core`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl

from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.batches import batches, encode, parts
from smartico_sync.core.diff import diff, nothing_known
from smartico_sync.core.events import Events
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.mapping import events, keys_of
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.view_mapping import Options, ViewMapping

ROWS = 10_000  # a page
REPEATS = 9
MOST, MOST_BYTES = 1000, 10_000_000  # the API's limits as configured by default
SECRET = bytes(32)
START = datetime(2026, 1, 1)  # noqa: DTZ001  - frames hold naive UTC

CASINO = (
    Column("id", "bigint", "integer"), Column("ext_brand_id", "text", "text"), Column("user_ext_id", "bigint", "integer"),
    Column("tx_type", "text", "text"), Column("bet_id", "text", "text"), Column("bet_date", "timestamptz", "instant"),
    Column("bet_amount", "numeric", "decimal"), Column("bet_amount_real", "numeric", "decimal"),
    Column("bet_amount_bonus", "numeric", "decimal"), Column("win_amount", "numeric", "decimal"),
    Column("win_amount_real", "numeric", "decimal"), Column("game_name", "text", "text"),
    Column("game_id", "text", "text"), Column("game_category", "text", "text"), Column("game_provider", "text", "text"),
)  # fmt: skip
USERS = (
    Column("ext_brand_id", "text", "text"), Column("user_ext_id", "bigint", "integer"),
    Column("dt_update", "timestamptz", "instant"), Column("core_account_status", "text", "text"),
    Column("core_registration_date", "timestamptz", "instant"), Column("core_user_language", "text", "text"),
    Column("core_wallet_currency", "text", "text"), Column("core_username", "text", "text"),
    Column("user_birthdate", "date", "date"), Column("user_country", "text", "text"), Column("user_email", "text", "text"),
    Column("user_first_name", "text", "text"), Column("user_last_name", "text", "text"),
    Column("user_phone", "text", "text"), Column("core_is_email_disabled_by_platform", "boolean", "boolean"),
)  # fmt: skip


def casino_page(rows: int) -> pl.DataFrame:
    """The 15-column casino view of the benchmark, as a source hands it over."""
    g = pl.int_range(rows).alias("id")
    win = g % 3 == 0
    money = (g % 10_000).cast(pl.String)
    return pl.select(g).select(
        "id",
        pl.format("brand{}", g % 3).alias("ext_brand_id"),
        (g * 7919 % 50_000).alias("user_ext_id"),
        pl.when(win).then(pl.lit("WIN")).otherwise(pl.lit("BET")).alias("tx_type"),
        pl.format("r{}", g // 2).alias("bet_id"),
        (pl.lit(START) + g * timedelta(milliseconds=37)).dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias("bet_date"),
        (money + ".25").alias("bet_amount"),
        (money + ".1250").alias("bet_amount_real"),
        pl.lit("0.10").alias("bet_amount_bonus"),
        pl.when(win).then(money + ".50").alias("win_amount"),
        pl.when(win).then(pl.lit("1.25")).alias("win_amount_real"),
        pl.format("Book of {}", g % 300).alias("game_name"),
        pl.format("game-{}", g % 300).alias("game_id"),
        pl.lit("slots").alias("game_category"),
        pl.format("provider {}", g % 20).alias("game_provider"),
        g.cast(pl.String).alias("@cursor"),
        pl.format("r{}", g // 2).alias("@key.0"),
        pl.when(win).then(pl.lit("WIN")).otherwise(pl.lit("BET")).alias("@key.1"),
    )  # fmt: skip


def users_page(rows: int) -> pl.DataFrame:
    """The 15-column users view of the benchmark, as a source hands it over."""
    g = pl.int_range(rows).alias("user_ext_id")
    moment = (pl.lit(START) + g * timedelta(milliseconds=53)).dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    return pl.select(g).select(
        pl.format("brand{}", g % 3).alias("ext_brand_id"), "user_ext_id", moment.alias("dt_update"),
        pl.lit("ACTIVE").alias("core_account_status"), moment.alias("core_registration_date"),
        pl.lit("EN").alias("core_user_language"), pl.lit("EUR").alias("core_wallet_currency"),
        pl.format("player{}", g).alias("core_username"), moment.dt.date().alias("user_birthdate"),
        pl.lit("MT").alias("user_country"), pl.format("player{}@example.com", g).alias("user_email"),
        pl.format("First{}", g % 500).alias("user_first_name"), pl.format("Last{}", g % 700).alias("user_last_name"),
        pl.format("+35699{}", g).alias("user_phone"), (g % 2 == 0).alias("core_is_email_disabled_by_platform"),
        moment.dt.strftime("%Y-%m-%d %H:%M:%S%.6f+00").alias("@cursor"), pl.format("brand{}", g % 3).alias("@key.0"),
        g.cast(pl.String).alias("@key.1"),
    )  # fmt: skip


def mapping(name: str, columns: tuple[Column, ...], cursor: str, options: Options) -> ViewMapping:
    """The plan of one of the benchmark's views."""
    key = keys_of(kind(name), None, columns, options.type_column)
    return plan(name, kind(name), Relation(name, cursor, key, relation=name, columns=columns), options)


def measure(step: str, work: Callable[[], object], rows: int = ROWS) -> None:
    """Print the best wall and CPU time of several runs (CPU counts every thread of polars)."""
    wall, cpu = [], []
    for _ in range(REPEATS):
        began, spent = time.perf_counter(), time.process_time()
        work()
        cpu.append(time.process_time() - spent)
        wall.append(time.perf_counter() - began)
    print(f"  {step:<34}{min(wall) / rows * 1e6:8.2f} wall {min(cpu) / rows * 1e6:8.2f} cpu")


def report(title: str, page: pl.DataFrame, chosen: ViewMapping) -> Events:
    """The steps every page takes."""
    print(f"{title}, {page.height} rows of {len(chosen.relation.columns)} columns, µs an event")
    mapped = events(chosen, page).events
    measure("map (with eids and player hashes)", lambda: events(chosen, page))
    measure("ledger keys", lambda: ledger_keys(chosen, page))
    measure("split by player", lambda: parts(mapped, MOST))
    measure("encode", lambda: [encode(part) for part in parts(mapped, MOST)])
    measure("map to request bodies", lambda: batches(events(chosen, page).events, MOST, MOST_BYTES))
    return mapped


def main() -> None:
    """Print what each step costs."""
    options = Options(type_column="tx_type", roles={"BET": "bet", "WIN": "win"})
    report("casino", casino_page(ROWS), mapping("casino_bets_and_wins", CASINO, "id", options))
    profiles = report("users", users_page(ROWS), mapping("users", USERS, "dt_update", Options()))
    whole = diff(profiles, nothing_known(), SECRET, "full").upserts.drop("eid")
    each = diff(profiles, nothing_known(), SECRET, "changed").upserts.drop("eid")
    measure("diff, all new", lambda: diff(profiles, nothing_known(), SECRET, "full"))
    measure("diff, unchanged", lambda: diff(profiles, whole, SECRET, "full"))
    measure("diff per property, unchanged", lambda: diff(profiles, each, SECRET, "changed"))


if __name__ == "__main__":
    main()
