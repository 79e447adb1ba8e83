"""What was accepted of each profile: what the state holds, and above it the pages that are still on their way."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from smartico_sync.core import few_columns
from smartico_sync.core.few_texts import FEW, are_few
from smartico_sync.core.part_prints import DIGITS, UNSURE
from smartico_sync.core.picked import picked
from smartico_sync.core.told_sets import ANY, EMPTY, MARK, items, marked, written
from smartico_sync.state.profiles import FORGOTTEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.few_columns import Held
    from smartico_sync.state.store import Store

__all__ = ["Fingerprints"]

COLUMNS = ("id", "whole", "parts", "cursor_at")
HOLD: tuple[Held, ...] = ("hash", "bytes", "bytes", "whole number")
PARTS = COLUMNS.index("parts")
BYTES = DIGITS // 2  # of the fingerprint of one property


class Fingerprints:
    """Pages come in order from one thread and are settled in the same order by another.

    `payload` as of the view: where only what changed is sent, each property is compared with every state that may be the last
    accepted one. `sets`: properties that are told by difference, which is measured by every set that may be there; `whole`: sets
    that are not. Of these only what was told by difference before is followed, so that it can be again.
    """

    def __init__(
        self,
        store: Store,
        view: str,
        payload: Literal["full", "changed"] = "full",
        sets: Sequence[str] = (),
        whole: Sequence[str] = (),
    ) -> None:
        self.store, self.view, self.payload = store, view, payload
        names = store.told_names(view) if sets or whole else {}
        self.sets = [f"{MARK}{name}" for name in (*sets, *(name for name in whole if name in names))]
        self.names = {name: items(written(dict.fromkeys(found, ""))) for name, found in names.items()}
        self.pending: deque[pl.DataFrame] = deque()

    def known(self, ids: pl.Series) -> pl.DataFrame:
        """The newest fingerprints of these players: [id UInt64, whole Binary, parts Binary|null, cursor_at Int64|null].

        One row a player. A property of which the state and the pages on their way differ is UNSURE, and where only changes are
        sent every one of a player that the state does not hold: any page may yet be refused. With it, where sets are
        told by difference, all those that may be there (List of JSON), also of players of whom nothing else is known.
        """
        # Before the state is read: what is settled in between is then in both.
        pending = tuple(self.pending)
        found = self._newest(ids, pending)
        if not self.sets:
            return found
        return found.join(self._possible(ids, pending), on="id", how="full", coalesce=True)

    def _newest(self, ids: pl.Series, pending: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """The newest fingerprints, with `pending` above those of the state."""
        stored = self.store.profiles(self.view, ids)
        if not pending:
            return stored
        pending = [picked(page, COLUMNS) for page in pending]
        few = self.payload == "full" and stored.height + sum(page.height for page in pending) <= FEW
        if few and (last := last_of(stored, *pending)) is not None:
            return last
        states = pl.concat([stored, *pending], how="vertical_relaxed")
        newest = states.unique("id", keep="last", maintain_order=True)
        if self.payload == "full":
            several = states.filter(pl.col("id").is_duplicated()) if newest.height < states.height else states.clear()
            several = several.filter(pl.col("id").is_in(ids.implode()))
            return newest.update(agreed(several), on="id", how="left") if several.height else newest
        forgotten = pl.col("whole") == pl.lit(FORGOTTEN)
        if states.select(forgotten.any()).item():  # so that nothing of it is held for told while it goes again
            states = states.with_columns(
                pl.when(forgotten).then(unsure(pl.col("parts"))).otherwise("parts").alias("parts")
            )
        nothing = states.filter(~pl.col("id").is_in(stored.get_column("id").implode())).with_columns(
            unsure(pl.col("parts"))
        )
        several = pl.concat([states, nothing]).filter(pl.col("id").is_duplicated() & pl.col("id").is_in(ids.implode()))
        return newest.update(agreed(several), on="id", how="left", include_nulls=True) if several.height else newest

    def ages(self, ids: pl.Series) -> pl.DataFrame:
        """The same, equal to no row: any profile is news that is not too old, and what had a value is known."""
        return self.known(ids).with_columns(whole=pl.lit(FORGOTTEN))

    def doubted(self, ids: pl.Series) -> pl.DataFrame:
        """The same while Smartico may have got more than the state knows: none is equal to any row, so all go in full.

        Any property of a player whom it knows may have a value there. A set that is told by difference may hold any name that
        was ever on its way.
        """
        found = self.known(ids)
        if self.sets:
            found = found.join(ids.unique().alias("id").to_frame(), on="id", how="full", coalesce=True)
            found = found.with_columns(self._any(name).alias(name) for name in self.sets)
        return found.with_columns(whole=pl.lit(FORGOTTEN), parts=unsure(pl.col("parts")))

    def unsettled(self, ids: pl.Series) -> None:
        """Of these players something was not accepted while it was not known what Smartico has: so it stays, of their sets."""
        if self.sets:
            self.store.doubt_told_sets(self.view, ids, self.sets)

    def sending(self, profiles: pl.DataFrame) -> None:
        """A page is about to be sent: names that never were are noted first, so that what may have arrived is always known."""
        new: dict[str, set[str]] = {}
        for column in marked(profiles.columns):
            there = self.names.setdefault(column.removeprefix(MARK), {})
            texts = profiles.get_column(column).drop_nulls().unique()
            for text in texts.filter(texts != ANY):
                new.setdefault(column.removeprefix(MARK), set()).update(items(text).keys() - there.keys())
        new = {name: found for name, found in new.items() if found}
        if new:
            self.store.add_told_names(self.view, new)
            for name, found in new.items():
                self.names[name] |= items(written(dict.fromkeys(found, "")))

    def sent(self, profiles: pl.DataFrame) -> None:
        """A page is on its way. Of a large one only what is looked at again is kept."""
        names = (*COLUMNS, *marked(profiles.columns))
        self.pending.append(profiles if are_few(profiles) else picked(profiles, names))

    def _possible(self, ids: pl.Series, pending: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """The sets that may be there: that of the state, and those on their way [id, a column (List of JSON) a set]."""
        stored = self._listed(self.store.told_sets(self.view, ids, self.sets))
        if not pending:
            return stored
        wanted, none = ids.unique().implode(), pl.lit([EMPTY], pl.List(pl.String))
        # A set that is not in the view any more is in no page.
        pages = pl.concat((page.select("id", *marked(page.columns)) for page in pending), how="diagonal")
        absent = (pl.lit(None, pl.String).alias(name) for name in self.sets if name not in pages.columns)
        on_the_way = pages.with_columns(absent).filter(pl.col("id").is_in(wanted))
        before = on_the_way.select("id").unique().join(stored, on="id", how="left")
        stored = pl.concat([stored, before]).with_columns(pl.col(self.sets).fill_null(none))
        of_all = pl.concat([stored, self._listed(on_the_way)], how="diagonal").group_by("id")
        return of_all.agg(pl.col(name).explode().drop_nulls().unique() for name in self.sets)

    def _listed(self, sets: pl.DataFrame) -> pl.DataFrame:
        """One set each as the list of those that it may be; null where there is none."""
        return sets.with_columns(
            pl.when(pl.col(name) == ANY)
            .then(self._any(name))
            .when(pl.col(name).is_not_null())
            .then(pl.concat_list(name))
            .alias(name)
            for name in self.sets
        )

    def _any(self, name: str) -> pl.Expr:
        """That any of the names may be there."""
        every = written(self.names.get(name.removeprefix(MARK), {}))
        return pl.lit([EMPTY, every], pl.List(pl.String))

    def settled(self) -> None:
        """The oldest page on its way is in the state."""
        self.pending.popleft()


def unsure(parts: pl.Expr) -> pl.Expr:
    """Parts of which nothing but their layout is sure: each may be another, and have a value."""
    hexes = parts.bin.encode("hex")
    return (hexes.str.slice(0, DIGITS) + hexes.str.slice(DIGITS).str.replace_all(".", UNSURE[0])).str.decode("hex")


def last_of(*pages: pl.DataFrame) -> pl.DataFrame | None:
    """Of each player in a handful of states [id, whole, parts, cursor_at] the last one, in order; None where their parts differ."""
    found: dict[int, tuple[Any, ...]] = {}
    for state in (state for page in pages for state in page.rows()):
        before = found.pop(state[0], state)
        if before[PARTS] != state[PARTS]:
            return None
        found[state[0]] = state
    columns = zip(*found.values(), strict=True) if found else [()] * len(COLUMNS)
    return few_columns.frame(COLUMNS, HOLD, columns)


def agreed(states: pl.DataFrame) -> pl.DataFrame:
    """The parts of each player [id, parts] as all its states have them; null where these do not fit together."""
    places = max((len(parts) for parts in states.get_column("parts").drop_nulls()), default=0) // BYTES
    sliced = states.select(
        "id", "parts", *(pl.col("parts").bin.slice(BYTES * n, BYTES).alias(str(n)) for n in range(places + 1))
    )
    unsure = pl.lit(bytes.fromhex(UNSURE))
    # Behind the parts a shorter piece may say which properties have a value.
    one = [
        pl.when(pl.col(str(n)).n_unique() == 1)
        .then(pl.col(str(n)).last())
        .otherwise(unsure.bin.slice(0, pl.col(str(n)).bin.size().max()))
        .alias(str(n))
        for n in range(places + 1)
    ]
    fit = (pl.col("parts").null_count() == 0) & (pl.col("parts").bin.size().n_unique() == 1)
    merged = sliced.group_by("id").agg(fit.alias("fit"), *one)
    if not places:
        return merged.select("id", parts=pl.lit(None, pl.Binary))
    # The first part names the others: where it differs, so does all that follows.
    hexes = pl.concat_str(pl.col(str(n)).bin.encode("hex") for n in range(places + 1)).str.decode("hex")
    return merged.select("id", parts=pl.when(pl.col("fit")).then(hexes))
