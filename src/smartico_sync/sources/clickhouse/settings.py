"""Which settings each query is sent with, as far as the user may choose them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.catalogue.engines import CLICKHOUSE
from smartico_sync.errors import SourceRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clickhouse_connect.driver.models import SettingDef

    from smartico_sync.sources.clickhouse.login import Login

__all__ = ["most_to_send", "settings_to_send"]

# A profile may let a query that meets a limit give a part of its rows, and call that success. The rest would be passed by.
WHOLE = {
    **dict.fromkeys(
        (
            "timeout_overflow_mode", "timeout_overflow_mode_leaf", "read_overflow_mode", "read_overflow_mode_leaf",
            "group_by_overflow_mode", "sort_overflow_mode", "result_overflow_mode", "set_overflow_mode", "join_overflow_mode",
            "transfer_overflow_mode", "distinct_overflow_mode",
        ),
        "throw",
    ),
    "limit": "0",  # of every query
    "offset": "0",
    "skip_unavailable_shards": "0",
    "use_query_cache": "0",  # an answer of some time ago
}  # fmt: skip
USUAL = {
    "log_comment": CLICKHOUSE.defaults["log_comment"],
    "output_format_arrow_low_cardinality_as_dictionary": "0",
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_quote_decimals": "0",
}


def settings_to_send(login: Login, known: Mapping[str, SettingDef], place: str) -> dict[str, str]:
    """The settings to send, of those that `system.settings` tells of.

    What is ours gives way where it is locked. SourceRefused where a locked profile allows answers that are not whole, or
    forbids what the operator wants.
    """
    sent = {}
    for name, value in WHOLE.items():
        there = known.get(name)
        if there is None or there.value == value:
            continue
        if there.readonly:
            raise SourceRefused(
                f"{place}: the user's profile sets {name} = {there.value}, and locks it: rows could be left out in silence",
                hint=f"ALTER SETTINGS PROFILE … SETTINGS {name} = '{value}', or give the user readonly = 2",
            )
        sent[name] = value
    if "readonly" in known and known["readonly"].value == "0":
        sent |= _open(known, "readonly", "2")
    sent |= _open(known, "max_execution_time", f"{login.timeout_ms / 1000:g}")
    for name, value in USUAL.items():
        sent |= _open(known, name, value)
    if "cloud_mode" in known and known["cloud_mode"].value == "1":
        # Behind one address there are several servers, each of which learns of new parts in its own time.
        sent |= _open(known, "select_sequential_consistency", "1")
    return sent | _wanted(login, known, place)


def most_to_send(known: Mapping[str, SettingDef], most_bytes: int) -> dict[str, str]:
    """What makes the server refuse an answer of more bytes; nothing where its profile refuses less, or locks the setting."""
    there = known.get("max_result_bytes")
    if there is None or 0 < int(there.value) <= most_bytes:
        return {}
    return _open(known, "max_result_bytes", str(most_bytes))


def _wanted(login: Login, known: Mapping[str, SettingDef], place: str) -> dict[str, str]:
    """What the operator chose, and the profile does not say already."""
    locked = [name for name in login.settings if name in known and known[name].readonly]
    for name in locked:
        if known[name].value != login.settings[name]:
            raise SourceRefused(
                f"{place}: the user's profile sets {name} = {known[name].value}, and locks it",
                hint="leave it out of the url, or let the profile allow it: readonly = 2, or CHANGEABLE_IN_READONLY",
            )
    return {name: value for name, value in login.settings.items() if name not in locked}


def _open(known: Mapping[str, SettingDef], name: str, value: str) -> dict[str, str]:
    return {name: value} if name in known and not known[name].readonly else {}
