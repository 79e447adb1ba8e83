"""A daemon at work, and what each of its surfaces says: status, page, readiness, metrics, log, a webhook and a Prometheus."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

import httpx

from operations.table import said
from waiting import until

if TYPE_CHECKING:
    from operations.table import Situation

TABLE = """CREATE TABLE {name} (transaction_id bigint PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id text DEFAULT 'p1',
    dt_finalized timestamptz DEFAULT now(), transaction_date timestamptz DEFAULT '2026-01-01', deposit_amount numeric DEFAULT 1,
    deposit_code text)"""
ROWS = "INSERT INTO {name} (transaction_id{columns}) SELECT g{values} FROM generate_series({first}, {last}) g"
VIEW = "  - {{name: {name}, source: {source}, relation: {name}, kind: deposits, cursor: dt_finalized, every: 200ms{more}}}\n"


def view(name: str, more: str = "", source: str = "db") -> str:
    """A view of deposits, as views.yaml has it."""
    return VIEW.format(name=name, source=source, more=more)


def rows(name: str, first: int, last: int, columns: str = "", values: str = "") -> str:
    """Insert deposits with these ids."""
    return ROWS.format(name=name, first=first, last=last, columns=columns, values=values)


class Rehearsal:
    """A daemon that runs, and those who look at it."""

    def __init__(self, operator, listen, webhook, prometheus) -> None:
        """`prometheus`: None where there is none."""
        self.operator, self.home = operator, operator.home
        self.webhook, self.prometheus = webhook, prometheus
        self.log = operator.home / "daemon.log"
        self.daemon = None
        self.listen = listen
        self.http = httpx.Client(base_url=f"http://{listen}", timeout=60, trust_env=False, verify=False)

    def configure(self, views: str, **sources: str) -> None:
        """Write views.yaml; a source is a URL, and perhaps more keys behind a comma."""
        db = "".join(f"  {name}: {{url: {url}}}\n" for name, url in sources.items())
        self.operator.configure("sqlite:///none.db", views)
        self.change("  db:\n    url: sqlite:///none.db\n", db)
        self.change("listen: off", f"listen: {self.listen}")
        alerts = f"alerts:\n  on_call: {{url: '{self.webhook.url}', format: json}}\n"
        self.operator.config.write_text(self.operator.config.read_text() + alerts)

    def change(self, old: str, new: str) -> None:
        """Write something else into views.yaml."""
        text = self.operator.config.read_text()
        assert old in text
        self.operator.config.write_text(text.replace(old, new))

    def start(self, **more: object) -> None:
        """Start the daemon, and wait until it delivers."""
        with self.log.open("ab") as err:
            self.daemon = self.operator.start("run", err=err, quiet_s=2.0, **more)
        until(self.is_ready)

    def end(self) -> None:
        """End it, come what may."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()

    def sync(self, *words: str, code: int = 0) -> str:
        """What a command says; it must end so."""
        done = self.operator.sync(*words)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def get(self, path: str) -> httpx.Response:
        """What the endpoint answers."""
        return self.http.get(path)

    def is_ready(self) -> bool:
        """Whether it delivers."""
        try:
            return self.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def findings(self) -> list[dict]:
        """What readiness tells."""
        return self.get("/readyz").json()["findings"]

    def page(self) -> str:
        """The text of the page's findings."""
        text = re.sub(r"<button.*?</button>", "", self.get("/").text, flags=re.DOTALL)
        listed = re.findall(r'<li class="finding.*?</li>', text, re.DOTALL)
        return "\n".join(
            " ".join(html.unescape(re.sub(r"<[^>]*>", "", item.replace("<p", " <p"))).split()) for item in listed
        )

    def lines(self) -> list[dict]:
        """The log, so far."""
        text = self.log.read_text("utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if line.startswith("{")]

    def finding(self, situation: Situation) -> dict | None:
        """What the daemon says of it, and since when; None when it says nothing."""
        told = (each for each in self.findings() if said(situation.told, each["message"]) and each["since_ms"])
        return next(told, None)

    def is_told(self, situation: Situation) -> None:
        """Each surface says cause, since and next command."""
        found: list[dict] = []
        until(lambda: found.extend(filter(None, [self.finding(situation)])) or found)
        assert said(situation.next, found[0]["hint"]), found
        shown = f"{situation.told}…since…next: …{situation.next}"
        until(lambda: said(shown, " ".join(self.operator.sync("status").stdout.split())), 0.5)
        until(lambda: said(shown, self.page()), 0.5)
        until(lambda: re.search(situation.series, self.get("/metrics").text, re.MULTILINE))
        until(lambda: any(self.is_line(line, situation) for line in self.lines()))
        until(lambda: self.is_in_status(situation), 0.5)
        until(lambda: any(change["next"] and change["since"] for change in self.told_by("began", situation)))
        self.fires(situation)

    def is_in_status(self, situation: Situation) -> bool:
        """Whether the status as data says it, and its exit code is what it says itself."""
        done = self.operator.sync("status", "--json")
        told = json.loads(done.stdout)
        assert done.returncode == (0 if told["ready"] == "delivering" else 1), told["ready"]
        return any(
            said(situation.told, each["message"]) and said(situation.next, each["hint"]) and each["since_ms"]
            for each in told["findings"]
        )

    def told_by(self, change: str, situation: Situation) -> list[dict]:
        """What the webhook was told of it: that it began, or that it is over."""
        posted = [each for body in self.webhook.bodies for each in body["changes"]]
        return [each for each in posted if each["change"] == change and said(situation.told, each["message"])]

    def fires(self, situation: Situation) -> None:
        """Its alert rule fires, and names a command."""
        if self.prometheus is not None:
            until(lambda: situation.alert in self.prometheus.firing(), 0.5)
            assert self.prometheus.firing()[situation.alert]["command"]

    def is_calm(self, *over: Situation) -> None:
        """It delivers, the exit code of `status` says so, and the alerts of what is over fire no more."""
        until(self.is_ready)
        until(lambda: self.operator.sync("status").returncode == 0, 0.5)
        rules = {situation.alert for situation in over}
        until(lambda: self.prometheus is None or not rules & self.prometheus.firing().keys(), 0.5)

    def has_new_password(self, situation: Situation) -> None:
        """The clerk's password is another one by now: it is told, and mended in views.yaml."""
        self.is_told(situation)
        self.change("clerk:clerk", "clerk:other")
        self.sync("reload")
        self.is_over(situation)
        self.is_calm(situation)

    def outlives(self, server: object, situation: Situation) -> None:
        """The server is down for a while."""
        server.stop()
        self.is_told(situation)
        server.start()
        self.is_over(situation)
        self.is_calm(situation)

    def is_line(self, line: dict, situation: Situation) -> bool:
        """Whether a line of the log tells it, with what to do."""
        return line["event"] == situation.log and said(situation.told, line["reason"]) and bool(line["hint"])

    def is_over(self, situation: Situation) -> None:
        """No surface says it any more, and log and webhook that it is over."""
        until(lambda: not any(said(situation.told, each["message"]) for each in self.findings()))
        until(
            lambda: any(
                line["event"] in ("finding.over", "view.recovered") and said(situation.told, line["reason"])
                for line in self.lines()
            )
        )
        until(lambda: self.told_by("over", situation))
