"""What the sandbox has accepted: eids, counts, players, and the log that outlives it."""

from __future__ import annotations

from collections import Counter, deque
from hashlib import blake2b
from json import JSONDecoder
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

import orjson

from smartico_sync.catalogue.events import creates_user
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["DUPLICATE", "UNKNOWN_USER", "AcceptedEvents", "Player", "packed", "player", "split"]

DUPLICATE = 20056
UNKNOWN_USER = 10001
RECENT = 1000  # events kept for a look
RELOAD = 10_000  # lines of the log read at once
UUID_LENGTH = 36

Player = tuple[str, str]
player = itemgetter("ext_brand_id", "user_ext_id")
eid_of = itemgetter("eid")
type_of = itemgetter("event_type")


class AcceptedEvents:
    """Accepts events; callers hold one lock around every call.

    `log`: every accepted event is appended as one JSON line, exactly as received, in the order of acceptance, and handed
    to the operating system before the caller answers. An existing log is read first: its eids are duplicates.
    `order`: whether a profile that is older than the one before it is noticed.
    """

    def __init__(self, log: Path | None = None, *, order: Literal["watched", "ignored"] = "watched") -> None:
        self.eids: set[bytes] = set()
        self.types: Counter[str] = Counter()
        self.players: set[Player] = set()
        self.profiles: dict[tuple[Any, ...], int] = {}
        self.recent: deque[Any] = deque(maxlen=RECENT)
        self.duplicates = 0
        self.misordered = 0
        self.order = order
        self.log = None
        if log is not None:
            try:
                self.reload(log)
                self.log = log.open("ab")
            except OSError as error:
                raise ConfigError(
                    f"cannot use the log {log}: {error.strerror}", hint="--log a file in a directory that you may write"
                ) from None

    def accept(
        self, events: Sequence[Any], raw: Sequence[bytes] | None, *, users: Literal["any", "known"] = "any"
    ) -> dict[int, int]:
        """Accept what is new; tell the error code of the others by index.

        `raw` holds the bytes of each event and is only needed with a log. `users` known refuses what comes for a player
        whose profile never came.
        """
        keys = packed([eid_of(event) for event in events])
        fresh = set(keys)
        if users == "any" and len(fresh) == len(keys) and self.eids.isdisjoint(fresh):
            self.enter(events, fresh, raw)
            return {}
        refused: dict[int, int] = {}
        chosen: list[int] = []
        for index, (key, event) in enumerate(zip(keys, events, strict=True)):
            if key in self.eids:
                refused[index] = DUPLICATE
            elif creates_user(event["event_type"]) or users == "any" or player(event) in self.players:
                chosen.append(index)
                self.eids.add(key)
                if creates_user(event["event_type"]):
                    self.players.add(player(event))
            else:
                refused[index] = UNKNOWN_USER
        self.duplicates += sum(code == DUPLICATE for code in refused.values())
        kept = [raw[index] for index in chosen] if raw is not None else None
        self.enter([events[index] for index in chosen], {keys[index] for index in chosen}, kept)
        return refused

    def glance(self, keys: Sequence[bytes], types: Counter[str]) -> bool:
        """Accept transactions of which only packed eids and types are known, if all are new; False changes nothing."""
        fresh = set(keys)
        if len(fresh) != len(keys) or not self.eids.isdisjoint(fresh):
            return False
        self.eids |= fresh
        self.types.update(types)
        return True

    def enter(self, events: Sequence[Any], keys: set[bytes], raw: Sequence[bytes] | None) -> None:
        """Write down events that are known to be new."""
        types = Counter(map(type_of, events))
        if self.log is not None and raw:
            self.log.write(b"\n".join(raw) + b"\n")
            self.log.flush()
        self.eids |= keys
        self.types.update(types)
        self.recent.extend(events[-RECENT:])
        if any(map(creates_user, types)):
            self.profile([event for event in events if creates_user(event["event_type"])])

    def profile(self, events: Sequence[Any]) -> None:
        """Remember who is known, and notice a profile that is older than the one accepted before it.

        Profiles are compared with earlier ones of the same properties: a user spread over several views has one order
        per view.
        """
        self.players.update(map(player, events))
        if self.order == "ignored":
            return
        for event in events:
            key = (*player(event), *event["payload"])
            date = event["event_date"]
            if date < self.profiles.get(key, date):
                self.misordered += 1
            else:
                self.profiles[key] = date

    def reload(self, path: Path) -> None:
        """Read an earlier log; a last line that was cut off was never acknowledged, and is removed."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            return
        with path.open("r+b") as log:
            good = 0
            batch: list[Any] = []
            for line in log:
                if not line.endswith(b"\n"):
                    log.truncate(good)
                    break
                good += len(line)
                batch.append(parsed(line, path))
                if len(batch) == RELOAD:
                    self.enter(batch, set(packed([eid_of(event) for event in batch])), None)
                    batch = []
            self.enter(batch, set(packed([eid_of(event) for event in batch])), None)

    def close(self) -> None:
        """Close the log."""
        if self.log is not None:
            self.log.close()


def parsed(line: bytes, path: Path) -> Any:
    """Read one line of the log."""
    try:
        event = orjson.loads(line)
        eid_of(event), type_of(event)
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{path} is not a log of accepted events", hint="--log another file, or move this one away"
        ) from None
    return event


def packed(eids: Sequence[str]) -> list[bytes]:
    """16 bytes per eid: the UUID itself, or a hash of any other text. Equal eids, equal bytes."""
    if not all(map(isinstance, eids, [str] * len(eids))):
        raise TypeError("eid must be a string")
    text = "".join(eids)
    count = len(eids)
    if len(text) == UUID_LENGTH * count and set(map(len, eids)) == {UUID_LENGTH}:
        dashes = "-" * count
        if text[8::36] == text[13::36] == text[18::36] == text[23::36] == dashes and text.count("-") == 4 * count:
            try:
                whole = bytes.fromhex(text.replace("-", ""))
            except ValueError:
                pass
            else:
                if len(whole) == 16 * count:  # fromhex skips blanks
                    return [whole[start : start + 16] for start in range(0, 16 * count, 16)]
    return [one(eid) for eid in eids]


def one(eid: str) -> bytes:
    """16 bytes of one eid."""
    bare = eid.replace("-", "")
    if len(eid) == UUID_LENGTH and len(bare) == 32 and eid[8] == eid[13] == eid[18] == eid[23] == "-":
        try:
            whole = bytes.fromhex(bare)
        except ValueError:
            pass
        else:
            if len(whole) == 16:
                return whole
    return blake2b(eid.encode(errors="surrogatepass"), digest_size=16).digest()


def split(body: bytes) -> list[bytes]:
    """Cut a JSON array that is known to parse into the bytes of its elements, each on one line: numbers keep every digit."""
    return list(elements(body.decode()))


def elements(text: str) -> Iterator[bytes]:
    """Walk over the elements of an array."""
    decoder = JSONDecoder()
    place = skip(text, text.index("[") + 1)
    while text[place] != "]":
        _, end = decoder.raw_decode(text, place)
        # A line break inside a JSON string is always escaped, so these stand between tokens.
        yield text[place:end].replace("\n", " ").replace("\r", " ").encode()
        place = skip(text, end)
        if text[place] == ",":
            place = skip(text, place + 1)


def skip(text: str, place: int) -> int:
    """Step over white space."""
    while text[place] in " \t\r\n":
        place += 1
    return place
