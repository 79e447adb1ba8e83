"""What changes in the demo's replica as messages: each view's rows to a topic or queue of its own."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from typing import TYPE_CHECKING

from smartico_sync.demo.replica import connect, heading

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.demo.brokers import Broker

__all__ = ["Publisher", "topics_yaml"]

# What names the rows that came since, view by view; the casino commits in this order.
GROWS = {
    "crm_users": "dt_update", "crm_user_consents": "dt_update", "crm_deposits": "dt_finalized",
    "crm_withdrawals": "dt_finalized", "crm_casino_transactions": "id",
}  # fmt: skip
SWITCHES = ("core_is_email_disabled_by_platform", "core_is_sms_disabled_by_platform", "push_allowed")
MOMENTS = ("dt_update", "dt_finalized", "core_registration_date", "transaction_date", "bet_date")
TICK_S = 0.1


class Publisher:
    """Publishes what is there, and then what comes, as an operator's platform would: every row as it is when it is seen."""

    def __init__(self, path: Path | str, broker: Broker) -> None:
        self._path, self._broker = path, broker
        self._reached: dict[str, str | int] = dict.fromkeys(GROWS, "")
        self._reached["crm_casino_transactions"] = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._publish, name="publisher", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Publish what is there, which makes the topics; what comes follows in a thread. Raises what the broker raises."""
        self.once()
        self._thread.start()

    def once(self) -> int:
        """Publish what came since the last time; returns how many messages that were."""
        count = 0
        with closing(connect(self._path)) as db:
            for view, column in GROWS.items():
                rows = db.execute(f"SELECT * FROM {view} WHERE {column} > ? ORDER BY {column}", [self._reached[view]])  # noqa: S608 - our own names
                names = [each[0] for each in rows.description]
                found = [dict(zip(names, row, strict=True)) for row in rows]
                if found:
                    self._broker.put(view, [(str(row["user_ext_id"]), message(row)) for row in found])
                    self._reached[view] = found[-1][column]
                    count += len(found)
        return count

    def _publish(self) -> None:
        try:
            while not self._stopping.wait(TICK_S):
                self.once()
        except BaseException as error:  # noqa: BLE001 - told to whoever stops it
            self.failure = error

    def stop(self) -> None:
        """Publish no more. Raises what ended the thread, if anything did. Idempotent."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self.failure is not None:
            raise self.failure


def message(row: dict[str, object]) -> bytes:
    """A row as an operator publishes it: switches are true or false, moments have a zone, and NULL is null."""
    told = {
        name: bool(value) if name in SWITCHES else f"{value}Z" if name in MOMENTS and value else value
        for name, value in row.items()
    }
    return json.dumps(told, ensure_ascii=False).encode()


def topics_yaml(broker: Broker, sandbox_url: str, state: Path | str, listen: str, key: str) -> str:
    """Write the demo's `views.yaml` of five topics or queues; see `replica.views_yaml`."""
    encryption = f"\n    encryption: {broker.encryption!r}" if broker.encryption else ""
    place = {view: json.dumps(broker.place(view)) for view in GROWS}
    return f"""\
{heading(sandbox_url, state, listen, key, broker.url)}{encryption}
views:
  - name: users
    source: casino
    relation: {place["crm_users"]}
    kind: users
    version: dt_update
  - name: users_consent
    source: casino
    relation: {place["crm_user_consents"]}
    kind: users
    version: dt_update
  - name: deposits
    source: casino
    relation: {place["crm_deposits"]}
    kind: deposits
    key: transaction_id
  - name: withdrawals
    source: casino
    relation: {place["crm_withdrawals"]}
    kind: withdrawals
    key: transaction_id
  - name: casino
    source: casino
    relation: {place["crm_casino_transactions"]}
    kind: casino_bets_and_wins
    type: {{column: tx_type, bet: BET, win: WIN}}
    key: id
"""
