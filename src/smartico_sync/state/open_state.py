"""An open state: what every part of the store works on, whichever database holds it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

from smartico_sync.state import dead_letters, told_sets, view_positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType
    from uuid import UUID

    from smartico_sync.state.database import StateSizes
    from smartico_sync.state.key_file import KeyFile, SecretPlace
    from smartico_sync.state.statements import Statements

__all__ = ["Care", "Database", "OpenState"]

# Flushed: what is written survives a power cut, too. Overwritten: what is deleted leaves no bytes. Patient: it may take minutes.
Care = Literal["usual", "flushed", "overwritten", "patient"]

T = TypeVar("T")


class Database(Protocol):
    """What holds a state: a file, or a server. Every method may be called from any thread."""

    key: KeyFile

    @property
    def owner(self) -> UUID | None:
        """Whose lanes are those of this process, where members share them; None where it works with its views alone."""
        ...

    @property
    def path(self) -> Path:
        """Beside which the process that works with the state listens."""
        ...

    @property
    def hint(self) -> str:
        """What an operator types when the state is gone or damaged."""
        ...

    @property
    def holding(self) -> bool:
        """Whether nobody else can work with the state for now: a request may start."""
        ...

    @property
    def before(self) -> Literal["well", "badly"]:
        """How another member that had it before ended; badly: requests of his may be under way."""
        ...

    def when_lost(self, told: Callable[[], None]) -> None:
        """Have it told, from any thread, that another member may have the state; at once when that is so already."""
        ...

    def reading(self) -> AbstractContextManager[Statements]:
        """Lend the connection, to read what was committed; nobody else has it meanwhile."""
        ...

    def writing(self, care: Care = "usual") -> AbstractContextManager[Statements]:
        """Lend the connection for one transaction: all of it is written, or nothing."""
        ...

    def together(self, write: Callable[[Statements], T], care: Care = "usual") -> T:
        """Have `write` called with the connection, for a transaction that does not read what it wrote, and is sent as a whole at its end.

        It may be called in another thread, and again where the transaction of several came to nothing; what it returns is returned.
        """
        ...

    def tidy(self, view_no: int, added: int) -> None:
        """So many profiles of a view were committed: bring in order what that leaves behind. Never raises StateError."""
        ...

    def ensure_sound(self) -> None:
        """Raise StateDamaged, if damage was found so far."""
        ...

    def look_through(self) -> None:
        """Wait until the state is looked through for damage. Raises StateDamaged."""
        ...

    def note_generation(self, identity: str, generation: int) -> None:
        """Write a generation of event ids down where it outlives the state, before the first of them is made."""
        ...

    def sizes(self) -> StateSizes:
        """Return how large the state is on disk."""
        ...

    def give_back(self) -> int:
        """Give a little of what is free back to the disk; how many bytes are left to give."""
        ...

    def backup(self, target: Path, place: SecretPlace) -> None:
        """Copy state and key file to `target` and `target.key` while the daemon works."""
        ...

    def close(self, end: Literal["well", "badly"] = "well") -> None:
        """Let the next process have the state; idempotent."""
        ...


class OpenState:
    """What the parts of the store share. Every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.cipher = told_sets.Cipher(database.key.secret)
        with database.reading() as connection:
            self.numbers = view_positions.numbers(connection)
        self.begun_before = frozenset(self.numbers)  # views that an earlier process began
        self.reading = database.reading
        self.sealed: dict[int, Mapping[str, Any]] = {}  # sealed columns by view, as they were committed last
        self.idle: Literal["yes", "unknown"] = "unknown"  # whether it is known that no row is parked

    @property
    def path(self) -> Path:
        """Beside which the process that works with the state listens; that of the state, where it is a file."""
        return self.database.path

    @property
    def owner(self) -> UUID | None:
        """Whose lanes are those of this process, where members share them; None where it works with its views alone."""
        return self.database.owner

    @property
    def key(self) -> KeyFile:
        """The state's secret and identity."""
        return self.database.key

    @property
    def secret(self) -> bytes:
        """What events are named and values are hidden under."""
        return self.key.secret

    @property
    def state_id(self) -> str:
        """What tells this state from any other."""
        return self.key.state_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("well" if kind is None else "badly")

    def __repr__(self) -> str:
        return f"Store({self.database})"

    def close(self, end: Literal["well", "badly"] = "well") -> None:
        """Let the next process have the state; idempotent. After a bad end it is treated as after a power cut."""
        self.database.close(end)

    @contextmanager
    def writing(self, care: Care = "usual") -> Iterator[Statements]:
        """Lend the connection for one transaction: all of it is written, or nothing."""
        with self.database.writing(care) as connection:
            self._know_nothing()
            yield connection

    def together(self, write: Callable[[Statements], T], care: Care = "usual") -> T:
        """Have something written that does not read what it wrote, see `Database.together`."""
        try:
            return self.database.together(write, care)
        except BaseException:
            self._know_nothing()
            raise

    def _waits(self, connection: Statements) -> bool:
        """Whether anything is parked in any view; not asked again while nothing was."""
        if self.idle == "unknown" and not dead_letters.waits(connection):
            self.idle = "yes"
        return self.idle == "unknown"

    def _know_nothing(self) -> None:
        self.sealed.clear()
        self.idle = "unknown"

    @property
    def holding(self) -> bool:
        """Whether nobody else can work with the state for now: a request may start."""
        return self.database.holding

    @property
    def before(self) -> Literal["well", "badly"]:
        """How another member that had it before ended; badly: requests of his may be under way."""
        return self.database.before

    def when_lost(self, told: Callable[[], None]) -> None:
        """Have it told, from any thread, that another member may have the state; at once when that is so already."""
        self.database.when_lost(told)

    def probe(self) -> None:
        """Make sure that the state can be written to, before anything is delivered that could not be remembered."""
        with self.writing() as connection:
            connection.execute("UPDATE identity SET state_id = state_id")

    def ensure_sound(self) -> None:
        """Raise StateDamaged, if damage was found so far; a large file is looked through while the work goes on."""
        self.database.ensure_sound()

    def look_through(self) -> None:
        """Wait until the state is looked through for damage. Raises StateDamaged."""
        self.database.look_through()

    def sizes(self) -> StateSizes:
        """Return how large the state is on disk."""
        return self.database.sizes()

    def give_back(self) -> int:
        """Give a little of what is free inside the state back to the disk; how many bytes are left to give.

        Call it again while it returns more than 0.
        """
        return self.database.give_back()

    def backup(self, target: Path, place: SecretPlace = "apart") -> None:
        """Copy state and key file to `target` and `target.key` while the daemon works; commits do not wait.

        Without the secret a copy tells nobody who is in it; to restore it the secret has to be there some other way.
        """
        self.database.backup(target, place)

    def number(self, view: str) -> int:
        """Return the number of a view in the tables. Raises LookupError for one that was never begun."""
        if view not in self.numbers and self.owner is not None:  # another member may have begun it
            with self.reading() as connection:
                self.numbers = view_positions.numbers(connection)
        try:
            return self.numbers[view]
        except KeyError:
            raise LookupError(f"the view {view!r} was never begun in {self.database}") from None
