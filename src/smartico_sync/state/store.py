"""The state store: one SQLite file, one process, one connection, one transaction per acknowledged page."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

import polars as pl

from smartico_sync.core.reason_codes import UNKNOWN_USER
from smartico_sync.core.told_sets import ANY
from smartico_sync.errors import StateDamaged, StateError, StateMissing, StateUnwritable
from smartico_sync.state import (
    ahead,
    anchors,
    backfills,
    bodies,
    dead_letters,
    erasure,
    lanes,
    ledger,
    profiles,
    recovery,
    told_sets,
    view_positions,
)
from smartico_sync.state.database import (
    INCREMENTAL,
    StateSizes,
    connect,
    examine,
    restore_hint,
    transaction,
    translated,
)
from smartico_sync.state.key_file import key_path, read_key_file, write_key_file
from smartico_sync.state.lock import ProcessLock
from smartico_sync.state.migrations import migrate

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from smartico_sync.core.position import Position
    from smartico_sync.core.records import (
        Anchor,
        Backfill,
        BackfillState,
        Commit,
        DeadLetter,
        LaneStep,
        ParkedRow,
        Profiles,
        Trust,
        ViewRow,
    )
    from smartico_sync.state.database import Access
    from smartico_sync.state.erasure import Forgotten, Identity
    from smartico_sync.state.key_file import KeyFile, SecretPlace

__all__ = ["Store"]

START_ROWS = 50_000  # of the rows that were there at a view's start, in one ledger page: unpacked as a whole
PAGES_AT_ONCE = 256  # a megabyte given back to the disk at a time: commits wait for it
ROWS_AT_ONCE = 1_000  # parked rows or dead letters read at a time where the caller names no limit: a screen is less, memory holds more


class Store:
    """What the daemon remembers. Every method may be called from any thread.

    Every method raises StateUnwritable while the disk is full, read-only or failing (nothing of the call has happened,
    and a later call may succeed), StateMissing while the file is not where it was, and StateDamaged when SQLite finds it
    corrupt. A view must have been begun before anything else names it, or the method raises LookupError.
    """

    def __init__(self, path: Path, key: KeyFile, connection: sqlite3.Connection, lock: ProcessLock | None) -> None:
        self.path = path
        self.secret = key.secret
        self.state_id = key.state_id
        self._key = key
        self._cipher = told_sets.Cipher(key.secret)
        self._connection = connection
        self._process = lock
        self._turn = threading.RLock()
        self._files = {file: inode(file.stat()) for file in self._own_files() if file.exists()}
        self._numbers = view_positions.numbers(connection)
        self.begun_before = frozenset(self._numbers)  # views that an earlier process began

    @classmethod
    def open(cls, path: Path, *, access: Access = "write", apart: bytes | None = None) -> Store:
        """Open the state at `path`, making it (and its directory) at the very first start.

        `apart`: the secret, where it is kept elsewhere. `read` takes no lock, so it works beside a running daemon, and never changes anything. Raises StateLocked,
        StateMissing, StateDamaged, StateUnwritable, and StateError for a file of a newer version.
        """
        if access == "read":
            if not path.exists():
                if key_path(path).exists():
                    raise recovery.gone(path)
                raise StateMissing(f"there is no state {path}", hint="start the daemon once: smartico-sync run")
            return cls._opened(path, read_key_file(key_path(path), apart), access, None)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StateUnwritable(
                f"the directory {path.parent} cannot be made: {error.strerror}", hint=f"mkdir -p {path.parent}"
            ) from error
        lock = ProcessLock(path)
        try:
            return cls._opened(path, recovery.found_or_first(path, apart), access, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(cls, path: Path, key: KeyFile, access: Access, lock: ProcessLock | None) -> Store:
        with translated(path):
            connection = connect(path, access)
            try:
                examine(connection, path, access)
                if access == "write":
                    migrate(connection)
                recovery.check_identity(connection, path, key)
                store = cls(path, key, connection, lock)
                store.views()
                if access == "write":
                    recovery.mark_opened(connection)
            except BaseException:
                connection.close()
                raise
            return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("well" if kind is None else "badly")

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    def close(self, end: Literal["well", "badly"] = "well") -> None:
        """Close the file and let the next process have it; idempotent. After a bad end it is treated as after a power cut."""
        with self._turn:
            if self._process and end == "well":
                with suppress(StateError, sqlite3.Error):
                    self._check_files()
                    recovery.mark_closed(self._connection)
            self._connection.close()
            if self._process:
                self._process.release()

    # Views

    def view(self, name: str) -> ViewRow | None:
        """Return what is known of a view, None if it was never begun."""
        return next((row for row in self.views() if row.view == name), None)

    def views(self) -> tuple[ViewRow, ...]:
        """Return every view, in the order in which they were begun."""
        with self._reading() as connection:
            try:
                return tuple(view_positions.read(connection, self.secret))
            except StateDamaged as error:
                raise StateDamaged(f"{error.message} ({self.path})", hint=restore_hint(self.path)) from None

    def begin(
        self,
        name: str,
        definition: str,
        started_from: str,
        at_ms: int,
        start: Commit | None = None,
        *,
        identity: str = "",
    ) -> ViewRow:
        """Register a view at its first start, with where it begins and the rows that were there (None: the first row).

        By default its name is its identity. One that is known stays as it is, unless it has no position and began elsewhere
        than at its first row: it is placed now. Its row is returned either way.
        """
        known = self.view(name)
        if known is not None and known.placed:
            return known
        with self._writing() as connection:
            view_positions.begin(
                connection,
                self.secret,
                name=name,
                identity=identity or name,
                definition=definition,
                started_from=started_from,
                at_ms=at_ms,
            )
            number = view_positions.numbers(connection)[name]
            if known is not None:
                anew = {"definition": definition, "started_from": started_from}
                view_positions.change(connection, self.secret, number, anew)
            generation = self._key.generations.get(identity or name, 0)
            view_positions.raise_generation(connection, self.secret, number, generation)
            if known is None and (identity or name) in told_sets.names(connection, self._cipher):
                view_positions.judge_fingerprints(connection, "doubted", number)  # it was at work before this state
            if start is not None:
                view_positions.advance(connection, self.secret, number, start)
                anchors.keep(connection, number, start.anchors)
                seq = 0
                for page in () if start.ledger is None else start.ledger.iter_slices(START_ROWS):
                    seq = ledger.append(connection, number, start.at_ms, page)
                view_positions.began_at(connection, number, start.head, seq)
        with self._reading() as connection:
            self._numbers = view_positions.numbers(connection)
        return self._row(name)

    def rename(self, old: str, new: str) -> ViewRow:
        """Give a view another name; its identity, and all that is known of it, stays. `new` is no view's name."""
        number = self._number(old)
        with self._writing() as connection:
            view_positions.change(connection, self.secret, number, {"name": new})
        self._numbers = {new if name == old else name: no for name, no in self._numbers.items()}
        self.begun_before |= {new} if old in self.begun_before else set()
        return self._row(new)

    def redefine(self, view: str, definition: str, rows: Literal["recognised", "forgotten"] = "recognised") -> ViewRow:
        """Write down what a view is now: one of which nothing was delivered yet, or one that goes on all the same.

        `rows`: those delivered last may be forgotten, where by what it is now they could not be recognised.
        """
        number = self._number(view)
        with self._writing() as connection:
            view_positions.change(connection, self.secret, number, {"definition": definition})
            if rows == "forgotten":
                anchors.drop(connection, number)
        return self._row(view)

    def start_of(self, name: str) -> str:
        """Return where a view is to begin that is not there yet, in place of its `start_from`; empty where nothing was said."""
        with self._reading() as connection:
            found = connection.execute("SELECT start_from FROM start WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def _row(self, view: str) -> ViewRow:
        row = self.view(view)
        assert row is not None
        return row

    def reached(self, view: str, at_ms: int) -> None:
        """Note that a view has caught up for the first time."""
        number = self._number(view)
        with self._writing() as connection:
            view_positions.reached(connection, number, at_ms)

    def judge_fingerprints(self, view: str, trust: Trust) -> None:
        """Say whether a view's fingerprints tell what Smartico has: doubted where it may have got more than was committed."""
        number = self._number(view)
        with self._writing() as connection:
            view_positions.judge_fingerprints(connection, trust, number)

    def rewind(
        self,
        view: str,
        position: Position | None,
        *,
        at_ms: int,
        from_ms: int | None = None,
        fingerprints: Literal["keep", "forget"] = "keep",
        ids: Literal["same", "new"] = "same",
        definition: str | None = None,
        lanes_at: Mapping[str, int] | None = None,
    ) -> None:
        """Put a view back: head and watermark to `position` (None: its start), late-commit memory and anchors empty.

        The ledger forgets rows with a cursor_ms of `from_ms` or more (None: all), so that they can be delivered and
        counted again. `forget` lets every profile be sent again, also an unchanged one, but none that is older than what was
        delivered. With `ids` new, rows get event ids that none had before, and profiles no age: for a source that gave out its
        own ids again. `definition`: what the view is from now on; then no profile has an age either. `lanes_at`: where messages
        of each lane go on, of whatever topic has that name now; lanes that are not named begin anew.
        """
        number = self._number(view)
        if ids == "new":
            self._note_generation(view)
        with self._writing() as connection:
            view_positions.place(connection, self.secret, number, position, at_ms, ids)
            if definition is not None:
                view_positions.change(connection, self.secret, number, {"definition": definition})
            anchors.drop(connection, number)
            ahead.drop(connection, number)
            ledger.remove_from(connection, number, from_ms)
            if lanes_at is not None:
                lanes.place(connection, self.secret, number, lanes_at)
            if ids == "new" or definition is not None:
                profiles.forget(connection, number, "ages")
            if fingerprints == "forget":
                profiles.forget(connection, number, "fingerprints")

    def _note_generation(self, view: str) -> None:
        """Write the next generation of a view's event ids down beside the state, before the first of them is made."""
        row = self._row(view)
        generations = {**self._key.generations, row.identity: row.generation + 1}
        self._key = replace(self._key, generations=generations)
        try:
            write_key_file(key_path(self.path), self._key)
        except OSError as error:
            raise StateUnwritable(
                f"the key file {key_path(self.path)} cannot be written: {error.strerror}",
                hint=f"check free space and permissions of {self.path.parent}",
            ) from error

    # Pages

    def profiles(self, view: str, ids: pl.Series) -> pl.DataFrame:
        """Return the known profiles among `ids` (UInt64): [id UInt64, whole Binary, parts Binary|null, cursor_at Int64|null].

        In no order.
        """
        number = self._number(view)
        with self._reading() as connection:
            return profiles.known(connection, number, ids)

    def told_sets(self, view: str, ids: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
        """Return the sets that were accepted last of the players among `ids`, for sets that are told by difference.

        [id UInt64, a column (String, JSON) for each of the `columns`], in no order; who has none has no row.
        """
        number = self._number(view)
        with self._reading() as connection:
            return told_sets.known(connection, self._cipher, number, ids, columns)

    def told_names(self, view: str) -> dict[str, set[str]]:
        """Return every name (as JSON) that was ever on its way in such a set, by property."""
        identity = self._row(view).identity
        with self._reading() as connection:
            return told_sets.names(connection, self._cipher).get(identity, {})

    def add_told_names(self, view: str, new: Mapping[str, set[str]]) -> None:
        """Note names that are about to be sent for the first time: on the disk when this returns, also after a power cut."""
        identity = self._row(view).identity
        with self._turn:
            self._connection.execute("PRAGMA synchronous = FULL")
            try:
                with self._writing() as connection:
                    told_sets.add_names(connection, self._cipher, identity, new)
            finally:
                self._connection.execute("PRAGMA synchronous = NORMAL")

    def doubt_told_sets(self, view: str, ids: pl.Series, columns: Sequence[str]) -> None:
        """Note that any name may be in these sets of the players `ids` (UInt64)."""
        number = self._number(view)
        doubted = ids.unique().alias("id").to_frame().with_columns(pl.lit(ANY).alias(name) for name in columns)
        with self._writing() as connection:
            told_sets.remember(connection, self._cipher, number, doubted)

    def commit(self, commit: Commit) -> int:
        """Write all that an acknowledged page changes, or nothing; the page's sequence number in the ledger.

        0 when the page has no ledger rows. A commit that returned survives the end of the process. It may be lost in a
        power cut, together with all later ones and never without them. Raises PositionMoved, with nothing written, when a lane is
        not where it was expected.
        """
        number = self._number(commit.view)
        with self._writing() as connection:
            view_positions.advance(connection, self.secret, number, commit)
            lanes.advance(connection, self.secret, number, commit.view, commit.lanes)
            view_positions.add_totals(connection, number, commit.counts)
            if commit.profiles is not None and not commit.profiles.is_empty():
                profiles.remember(connection, number, commit.profiles)
                told_sets.remember(connection, self._cipher, number, commit.profiles)
            self._settle_undelivered(connection, number, commit)
            anchors.keep(connection, number, commit.anchors)
            if commit.head is not None and commit.ledger is not None and commit.ledger.height:
                ahead.prune(connection, number, highest(commit.ledger))
            if commit.ahead is not None:
                ahead.add(connection, number, commit.ahead)
            if commit.step is not None:
                backfills.advance(connection, commit.step, commit.at_ms)
            return 0 if commit.ledger is None else ledger.append(connection, number, commit.at_ms, commit.ledger)

    def _settle_undelivered(self, connection: sqlite3.Connection, number: int, commit: Commit) -> None:
        """Park, resolve and give up what a commit says, and keep the turns of the players it concerns."""
        if commit.profiles is not None and not commit.profiles.is_empty() and dead_letters.waits(connection):
            # A player that is known now need not wait for the next try.
            dead_letters.try_now(connection, commit.profiles.get_column("id"), UNKNOWN_USER, commit.at_ms)
        bodies.keep(connection, self.secret, number, commit.bodies)
        if not (commit.resolved or commit.parked or commit.dead_letters):
            return
        over = [*commit.resolved, *(each.id for each in commit.dead_letters if each.id)]
        moving = dead_letters.players(connection, over) if over else set()
        dead_letters.remove(connection, commit.resolved)
        dead_letters.park(connection, number, commit.parked)
        dead_letters.keep(connection, number, commit.dead_letters)
        waiting = {each.row.player for each in commit.parked if each.row.player}
        dead_letters.keep_turns(connection, number, commit.at_ms, waiting=waiting, moving=moving - waiting)
        if commit.resolved:
            bodies.prune(connection, number)

    def keep_bodies(self, view: str, messages: Mapping[str, bytes]) -> None:
        """Keep messages of parked rows, by place, so that the broker may forget them."""
        number = self._number(view)
        with self._writing() as connection:
            bodies.keep(connection, self.secret, number, messages)

    def bodies(self, view: str, places: Sequence[str]) -> list[bytes]:
        """Return the messages of these places that are kept, as they were given, in any order."""
        number = self._number(view)
        with self._reading() as connection:
            return bodies.read(connection, self.secret, number, places)

    def forget_returning(self, view: str, lanes: Sequence[str]) -> None:
        """Forget the parked rows whose messages the broker holds and gives again: they are read, and counted, anew."""
        number = self._number(view)
        with self._writing() as connection:
            done = bodies.forget_returning(connection, number, lanes)
            view_positions.add_totals(connection, number, {"read": -done, "parked": -done})

    def sending(self, view: str, sent_ms: int) -> None:
        """Note that rows of the order up to this cursor, as in the ledger, are about to be sent."""
        number = self._number(view)
        with self._writing() as connection:
            connection.execute(
                "UPDATE view SET sent_ms = :ms WHERE no = :no AND (sent_ms IS NULL OR sent_ms < :ms)",
                {"ms": sent_ms, "no": number},
            )

    def ahead(self, view: str) -> pl.Series:
        """Return the ledger keys (UInt64) of rows that were sent before their time, which has not come yet."""
        number = self._number(view)
        with self._reading() as connection:
            return ahead.read(connection, number)

    def lanes(self, view: str) -> dict[str, LaneStep]:
        """Return how far the messages of each lane are dealt with; `expected` is `next`."""
        number = self._number(view)
        with self._reading() as connection:
            return lanes.read(connection, self.secret, number)

    def anchors(self, view: str) -> list[Anchor]:
        """Return the rows of a view that were delivered last, oldest first."""
        number = self._number(view)
        with self._reading() as connection:
            return anchors.read(connection, number)

    # Parked rows and dead letters

    def dead_letters(
        self,
        view: str | None = None,
        *,
        code: int | None = None,
        key: str | None = None,
        after_id: int = 0,
        limit: int = ROWS_AT_ONCE,
    ) -> list[DeadLetter]:
        """Return dead letters that fit every given filter, ascending by id; `after_id` reads on."""
        with self._reading() as connection:
            return dead_letters.dead(connection, view=view, code=code, key=key, after_id=after_id, limit=limit)

    def newest_dead_letters(self, view: str, limit: int = 10) -> list[DeadLetter]:
        """Return the dead letters of a view that were given up last, the newest first; none of a view it does not know."""
        with self._reading() as connection:
            number = self._numbers.get(view)
            return [] if number is None else dead_letters.newest(connection, number, limit)

    def dead_letter_counts(self) -> dict[str, dict[int, int]]:
        """Count dead letters as {view: {reason code: n}}; views without any are left out."""
        return self._undelivered_counts("dead")

    def all_dead_letters(self) -> Iterator[DeadLetter]:
        """Yield every dead letter, ascending by id."""
        after = 0
        while some := self.dead_letters(after_id=after):
            yield from some
            after = some[-1].id

    def drop(self, view: str, ids: Sequence[int]) -> int:
        """Forget dead letters of a view for good; how many there were. Their rows count as dropped."""
        number = self._number(view)
        with self._writing() as connection:
            done = dead_letters.remove(connection, ids)
            bodies.prune(connection, number)
            view_positions.add_totals(connection, number, {"dead_lettered": -done, "dropped": done})
            return done

    def prune_dead_letters(self, view: str, before_ms: int, most: int) -> int:
        """Forget dead letters of a view that are older than that time, or more than so many; how many there were.

        Their rows count as dropped. Bounded work: call it again while it returns more than 0.
        """
        number = self._number(view)
        with self._writing() as connection:
            done = dead_letters.prune(connection, number, before_ms, most, ROWS_AT_ONCE)
            view_positions.add_totals(connection, number, {"dead_lettered": -done, "dropped": done})
            return done

    def revive(self, view: str, parked: Sequence[ParkedRow]) -> None:
        """Park dead letters of a view for another try."""
        number = self._number(view)
        with self._writing() as connection:
            dead_letters.park(connection, number, parked)
            waiting = {each.row.player for each in parked if each.row.player}
            dead_letters.keep_turns(connection, number, max(each.at_ms for each in parked), waiting=waiting, moving=())
            view_positions.add_totals(connection, number, {"dead_lettered": -len(parked), "parked": len(parked)})

    def enqueue(self, view: str, parked: Sequence[ParkedRow]) -> None:
        """Park rows for a try at their time. Those that are new count as read."""
        number = self._number(view)
        with self._writing() as connection:
            before = dead_letters.total(connection, number)
            dead_letters.park(connection, number, parked)
            new = dead_letters.total(connection, number) - before
            view_positions.add_totals(connection, number, {"read": new, "parked": new})

    def parked(self, view: str, due_ms: int, limit: int = ROWS_AT_ONCE) -> list[ParkedRow]:
        """Return parked rows due at `due_ms`, the longest due first.

        Of each player the first row has a clock; once that is delivered or given up, all others are due, in their order.
        """
        number = self._number(view)
        with self._reading() as connection:
            return dead_letters.due(connection, number, due_ms, limit)

    def parked_since(self, view: str) -> int:
        """Return since when (epoch ms) the parked row that waits longest has been waiting; 0 when none is."""
        number = self._number(view)
        with self._reading() as connection:
            return dead_letters.oldest(connection, number)

    def waiting_players(self, view: str) -> frozenset[int]:
        """Return the players of whom something is parked: what comes after it waits behind it."""
        number = self._number(view)
        with self._reading() as connection:
            return frozenset(dead_letters.waiting_players(connection, number))

    def parked_counts(self) -> dict[str, dict[int, int]]:
        """Count parked rows as {view: {reason code: n}}; views without any are left out."""
        return self._undelivered_counts("parked")

    def _undelivered_counts(self, stage: Literal["dead", "parked"]) -> dict[str, dict[int, int]]:
        found: dict[str, dict[int, int]] = {}
        with self._reading() as connection:
            for view, parked, code, n in dead_letters.counts(connection):
                if bool(parked) == (stage == "parked"):
                    found.setdefault(view, {})[code] = n
        return found

    # Erasure

    def forget(self, view: str, who: Identity) -> Forgotten:
        """Take a player out of what is known of a view, and his bytes out of the file; his waiting rows count as dropped."""
        number = self._number(view)
        with self._turn, translated(self.path):
            self._connection.execute("PRAGMA secure_delete = ON")
            try:
                with self._writing() as connection:
                    gone = erasure.forget(connection, number, who)
                    dropped = {"dead_lettered": -gone.dead_letters, "parked": -gone.parked}
                    dropped["dropped"] = gone.dead_letters + gone.parked
                    view_positions.add_totals(connection, number, {name: n for name, n in dropped.items() if n})
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._connection.execute("PRAGMA secure_delete = FAST")
        return gone

    # Backfills

    def backfills(self) -> tuple[Backfill, ...]:
        """Return every backfill that was ever asked for, oldest first."""
        with self._reading() as connection:
            return tuple(backfills.read(connection))

    def add_backfill(
        self, view: str, *, low: str, high: str, rate: int, profiles: Profiles, total: int, at_ms: int
    ) -> int:
        """Note that a part of a view's history is to be sent; the backfill's id."""
        number = self._number(view)
        with self._writing() as connection:
            return backfills.add(
                connection, number, low=low, high=high, rate=rate, profiles=profiles, total=total, at_ms=at_ms
            )

    def tell_backfill(self, number: int, state: BackfillState, reason: str, at_ms: int) -> bool:
        """Say how an open backfill stands; whether there is an open one of that id."""
        with self._writing() as connection:
            return backfills.tell(connection, number, state, reason, at_ms)

    # Ledger

    def ledger_since(self, view: str, seq: int = 0) -> Iterator[tuple[int, pl.Series]]:
        """Yield the pages after `seq` in order of delivery, each as its sequence number and its keys (UInt64, ascending)."""
        number = self._number(view)
        last = seq
        while True:
            with self._reading() as connection:
                pages = ledger.since(connection, number, last)
            if not pages:
                return
            for last, page in pages:
                yield last, ledger.unpack(page).get_column("key")

    def there_at_start(self, view: str) -> pl.Series:
        """Return the keys (UInt64) of rows that were there when the view began, and that it therefore did not send."""
        row = self.view(view)
        pages = self.ledger_since(view) if row is not None and row.start_seq else ()
        found = [keys for seq, keys in pages if row is not None and seq <= row.start_seq]
        return pl.concat(found) if found else pl.Series(dtype=pl.UInt64)

    def newest_seq(self, view: str) -> int:
        """Return the sequence number of the view's newest ledger page; 0 when there is none."""
        number = self._number(view)
        with self._reading() as connection:
            return ledger.newest(connection, number)

    def ledger_between(self, view: str, low_ms: int, high_ms: int) -> pl.DataFrame:
        """Return the delivered rows with low_ms <= cursor_ms < high_ms that are still kept: [key UInt64, cursor_ms Int64]."""
        number = self._number(view)
        with self._reading() as connection:
            pages = list(ledger.between(connection, number, low_ms, high_ms))
        return pl.concat(pages) if pages else pl.DataFrame(schema=ledger.SCHEMA)

    def acknowledged_at(self, view: str, cursor_ms: int, key: int) -> int | None:
        """Return when (epoch ms) the row of that ledger key and cursor was acknowledged; None when it was not, or its key is pruned."""
        number = self._number(view)
        with self._reading() as connection:
            return ledger.acknowledged_at(connection, number, cursor_ms, key)

    def ledger_counts(self, view: str, low_ms: int, high_ms: int, bucket_ms: int = ledger.BUCKET_MS) -> pl.DataFrame:
        """Count delivered rows with low_ms <= cursor_ms < high_ms: [bucket Int64, n Int64], ascending, no empty buckets.

        A bucket is named by its lowest cursor, a multiple of `bucket_ms`. Exact for ever where all three arguments are
        multiples of an hour (BUCKET_MS; 3.6 million for id cursors), else exact as far back as keys are kept.
        """
        number = self._number(view)
        with self._reading() as connection:
            return ledger.count_keys(connection, number, low_ms, high_ms, bucket_ms)

    def ledger_low(self, view: str, at_ms: int) -> int | None:
        """Return the lowest cursor among the pages kept that were delivered since; None without any."""
        number = self._number(view)
        with self._reading() as connection:
            return ledger.lowest(connection, number, at_ms)

    def prune_ledger(self, view: str, before_ms: int, through_seq: int | None = None) -> int:
        """Drop the keys of pages delivered before that time; their counts stay. Return how many pages were dropped.

        Pages with a higher sequence number than `through_seq` stay: what was delivered above the watermark must be known as
        long as it is scanned again. Bounded work: call it again while it returns more than 0.
        """
        number = self._number(view)
        with self._writing() as connection:
            return ledger.prune(connection, number, before_ms, through_seq)

    # The file

    def probe(self) -> None:
        """Make sure that the state can be written to, before anything is delivered that could not be remembered."""
        with self._writing() as connection:
            connection.execute("UPDATE identity SET state_id = state_id")

    def sizes(self) -> StateSizes:
        """Return how large the state is on disk."""
        with self._reading() as connection:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (page,) = connection.execute("PRAGMA page_size").fetchone()
        files = [file.stat().st_size for file in self._own_files() if file.exists()]
        return StateSizes(sum(files), free * page)

    def give_back(self) -> int:
        """Give a little of what is free inside the file back to the disk; how many bytes are left to give.

        0 for a file made before 0.2.0, until `smartico-sync state compact`. Call it again while it returns more than 0.
        """
        with self._turn, translated(self.path):
            connection = self._connection
            if connection.execute("PRAGMA auto_vacuum").fetchone() != (INCREMENTAL,):
                return 0
            connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
        return self.sizes().free_bytes

    def backup(self, target: Path, place: SecretPlace = "apart") -> None:
        """Copy state and key file to `target` and `target.key` while the daemon works; commits do not wait.

        Without the secret a copy tells nobody who is in it; to restore it the secret has to be there some other way.
        """
        self._check_files()
        recovery.write_backup(self.path, replace(self._key, place=place), target)

    def _number(self, view: str) -> int:
        try:
            return self._numbers[view]
        except KeyError:
            raise LookupError(f"the view {view!r} was never begun in {self.path}") from None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._turn, translated(self.path):
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            self._check_files()
            with translated(self.path), transaction(self._connection):
                yield self._connection
            self._remember_files()

    def _own_files(self) -> tuple[Path, Path]:
        return self.path, self.path.with_name(self.path.name + "-wal")

    def _remember_files(self) -> None:
        for file in self._own_files():
            if file not in self._files:
                with suppress(OSError):
                    self._files[file] = inode(file.stat())

    def _check_files(self) -> None:
        """Notice that the file, or its log, was removed or replaced: what is written then goes nowhere."""
        for file, known in self._files.items():
            try:
                there = inode(file.stat())
            except OSError:
                there = None
            if there != known:
                raise StateMissing(
                    f"{file} was {'removed' if there is None else 'replaced'} while it was in use",
                    hint=f"put it back, or stop the daemon and {restore_hint(self.path)}",
                )


def highest(rows: pl.DataFrame) -> int:
    """Return the highest cursor of ledger rows."""
    return int(rows.select(pl.col("cursor_ms").max().fill_null(-(1 << 63))).item())


def inode(status: os.stat_result) -> tuple[int, int]:
    """Return what makes a file the same file, whatever its name."""
    return status.st_dev, status.st_ino
