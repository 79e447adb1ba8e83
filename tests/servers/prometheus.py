"""A real Prometheus with our rules."""

from __future__ import annotations

import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

import httpx

from waiting import until

RULES = Path(__file__).parents[2] / "config" / "smartico-sync.alerts.yaml"


class Prometheus:
    """One that has scraped the daemon at `target` each second, with our rules, whose `for:` is over at once."""

    def __init__(self, url):
        self.http = httpx.Client(base_url=url, timeout=60, trust_env=False, verify=False)

    def ask(self, expression):
        """The result of an instant query; what Prometheus does not understand fails the test."""
        answer = self.http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def names(self):
        """Every series that it has."""
        return set(self.http.get("/api/v1/label/__name__/values").json()["data"])

    def firing(self):
        """The alerts that fire, with what they say."""
        alerts = self.http.get("/api/v1/alerts").json()["data"]["alerts"]
        return {each["labels"]["alertname"]: each["annotations"] for each in alerts if each["state"] == "firing"}


@contextmanager
def prometheus(home, target):
    """Prometheus at work in a folder: minutes that a rule waits are over at once, and of five minutes three seconds are left."""
    rules = re.sub(r"for: \d+[mh]", "for: 0s", RULES.read_text())
    rules = re.sub(r"_seconds > (\d+)", lambda found: f"_seconds > {int(found[1]) / 100:g}", rules)
    (home / "rules.yaml").write_text(rules)
    (home / "prometheus.yaml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\nscrape_configs:\n"
        f"  - {{job_name: smartico-sync, static_configs: [{{targets: ['{target}']}}]}}\n"
    )
    said = home / "prometheus.log"
    words = [
        "prometheus",
        "--config.file=prometheus.yaml",
        "--storage.tsdb.path=tsdb",
        "--web.listen-address=127.0.0.1:0",
    ]
    with said.open("wb") as log, subprocess.Popen(words, cwd=home, stdout=log, stderr=log) as server:
        try:
            listening = re.compile(r'msg="Listening on" address=(\S+:\d+)')
            until(lambda: listening.search(said.read_text()) or server.poll() is not None)
            found = listening.search(said.read_text())
            assert found, said.read_text()
            there = Prometheus(f"http://{found[1]}")
            with there.http:
                until(lambda: there.http.get("/-/ready").is_success)
                yield there
        finally:
            server.terminate()
