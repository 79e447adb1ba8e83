"""The moment up to which a member is complete, and how a reading asks for data of that moment."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from bson import Timestamp
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.sources.mongodb.session import Session

__all__ = ["ClusterTime", "cluster_time_of", "role_of"]

SNAPSHOTS_FROM = 13  # the wire version of MongoDB 5.0
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class ClusterTime(Struct, frozen=True):
    """`clock_ms`: every write up to then is in what the member shows to readers of the majority. `concern`: of our questions."""

    clock_ms: int
    concern: Mapping[str, Any]


def cluster_time_of(session: Session, what: str, collection: str = "") -> ClusterTime:
    """Ask a member. Where there is a set, later questions are answered by any member, as of that moment or later."""
    hello = session.command({"hello": 1}, what)
    now_ms = _ms(hello["localTime"])
    write = hello.get("lastWrite")
    if write is not None:
        stamp = write["majorityOpTime"]["ts"]
        level = hello.get("isWritablePrimary") and write["opTime"]["ts"] == stamp
        # A primary whose last write has reached the majority is complete up to its own now.
        clock_ms = now_ms if level else min(now_ms, _ms(write["majorityWriteDate"]))
    elif hello.get("msg") == "isdbgrid" and isinstance(hello.get("operationTime"), Timestamp):
        stamp = hello["operationTime"]
        clock_ms = min(now_ms, stamp.time * 1000)
    else:
        return ClusterTime(now_ms, {"level": "local"})
    newest = session.servers.seen(stamp)
    if collection not in session.servers.without_snapshot and hello.get("maxWireVersion", 0) >= SNAPSHOTS_FROM:
        return ClusterTime(clock_ms, {"level": "snapshot", "atClusterTime": newest})
    return ClusterTime(clock_ms, {"level": "majority", "afterClusterTime": newest})


def role_of(hello: Mapping[str, Any]) -> str:
    """The role in our words."""
    if hello.get("msg") == "isdbgrid":
        return "unknown"
    return "physical standby" if hello.get("secondary") else "primary"


def _ms(moment: dt.datetime) -> int:
    return (moment - EPOCH) // dt.timedelta(milliseconds=1)
