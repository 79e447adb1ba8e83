"""What became of all that was written: there, lost, or only late. For `make soak`."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from servers.postgresql import Server

LOOK_S = 5.0
QUIET_S = 30.0  # the daemon has had nothing to do for so long, scans for late rows included: what is missing is lost
DRAIN_S = 900.0  # longer is no request late whose tries are half a minute apart at most


@dataclass(frozen=True)
class Truth:
    """What the source holds: the keys of bets and deposits, and what each player's profile says."""

    bets: set[str]
    deposits: set[str]
    profiles: dict[str, str]

    @classmethod
    def of(cls, server: Server) -> Truth:
        """All that was written."""
        bets, deposits, users = (
            server.admin(f"SELECT {columns}")
            for columns in (
                "bet_id FROM bets",
                "transaction_id::text FROM deposits",
                "user_ext_id::text, core_username FROM users",
            )
        )
        return cls({key for (key,) in bets}, {key for (key,) in deposits}, dict(users))


@dataclass
class Accepted:
    """What the API has accepted, read from its log as it grows: this process is also the proxy in between, and must not pause.

    `events`: ids of bets and deposits; `profiles`: what the API heard last of each player; `twice`: event ids it took more than once.
    """

    log: Path
    events: dict[str, set[str]] = field(default_factory=lambda: {"casino_bet": set(), "acc_deposit_approved": set()})
    profiles: dict[str, str] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    taken: int = 0
    offset: int = 0

    @property
    def twice(self) -> int:
        return self.taken - len(self.ids)

    def read(self) -> None:
        """Read what has come since the last time."""
        with self.log.open("rb") as lines:
            lines.seek(self.offset)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self.offset += len(line)
                self.taken += 1
                event = orjson.loads(line)
                self.ids.add(event["eid"])
                payload = event["payload"]
                if event["event_type"] == "update_profile":
                    self.profiles[event["user_ext_id"]] = payload["core_username"]
                else:
                    key = payload.get("casino_last_bet_id") or payload["acc_last_transaction_id"]
                    self.events[event["event_type"]].add(str(key))

    def missing(self, there: Truth) -> list[str]:
        """What the API does not have, in words."""
        self.read()
        stale = {player for player, name in there.profiles.items() if self.profiles.get(player) != name}
        absent = {
            "bets": there.bets - self.events["casino_bet"],
            "deposits": there.deposits - self.events["acc_deposit_approved"],
            "profiles as they are": stale,
        }
        return [f"{len(keys):,} {what}, {min(keys)} among them" for what, keys in absent.items() if keys]


def idle(page: str) -> bool:
    """Whether the daemon says that it has nothing left to do: every view is level, and nothing is queued or waits."""
    with urllib.request.urlopen(f"{page}/status.json") as answer:
        status = json.load(answer)
    return all(view["state"] == "live" and not view["parked"] for view in status["views"]) and not any(
        each["queued_events"] or each["in_flight"] for each in status["destinations"]
    )


def drain(accepted: Accepted, page: str, truth: Truth) -> list[str]:
    """Wait until all that was written is there, or is lost; what is missing, in words."""
    began = quiet = time.monotonic()
    while missing := accepted.missing(truth):
        now = time.monotonic()
        if not idle(page):
            quiet = now
        if now - quiet >= QUIET_S:
            return [f"lost: {each}" for each in missing]
        if now - began >= DRAIN_S:
            return [f"not there yet: {each}" for each in missing]
        time.sleep(LOOK_S)
    print(f"  the last row was there {time.monotonic() - began:.0f} s after the last write")
    return []
