"""The demo's casino as a publisher of messages."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from daemon.command import run
from servers.postgresql import free_port
from smartico_sync.config.models import Configuration
from smartico_sync.demo.brokers import open_broker
from smartico_sync.demo.casino import LiveCasino
from smartico_sync.demo.publisher import Publisher, topics_yaml
from smartico_sync.demo.replica import create, expected
from smartico_sync.errors import ConfigError, SourceUnreachable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Shelf:
    """A broker that remembers."""

    url, encryption = "kafka://b1:9092", "off"

    def __init__(self):
        self.messages = []

    def place(self, view):
        return f"casino.{view}"

    def put(self, view, messages):
        self.messages += [(view, key, json.loads(body)) for key, body in messages]

    def close(self):
        pass


@pytest.fixture
def path(tmp_path):
    create(tmp_path / "replica.db", now=NOW, seed=3, players=40)
    return tmp_path / "replica.db"


def test_every_row_is_published_once_and_again_when_it_changes(path):
    """By its player, with a zone in each moment, in the order of its view."""
    shelf = Shelf()
    publisher, casino = Publisher(path, shelf), LiveCasino(path, seed=1)
    publisher.once()
    assert publisher.once() == 0
    for second in range(5):
        casino.step(NOW + timedelta(seconds=second), 30)
        publisher.once()
    casino.stop()
    counts = Counter(view for view, _, _ in shelf.messages)
    wanted = expected(path)
    assert counts["crm_deposits"] == wanted["acc_deposit_approved"]
    assert counts["crm_casino_transactions"] == wanted["casino_bet"] + wanted["casino_win"]
    assert all(key == str(body["user_ext_id"]) for _, key, body in shelf.messages)
    dates = [body["dt_update"] for view, _, body in shelf.messages if view == "crm_users"]
    assert dates == sorted(dates)
    assert all(date.endswith("Z") for date in dates)
    consent = next(body for view, _, body in shelf.messages if view == "crm_user_consents")
    assert isinstance(consent["push_allowed"], bool)


def test_its_configuration_names_five_topics(tmp_path):
    """And says what it takes that the way there is in the clear."""
    text = topics_yaml(Shelf(), "http://127.0.0.1:9/x", tmp_path / "state.db", "127.0.0.1:0", "a2V5")
    configuration = Configuration.model_validate(yaml.safe_load(text))
    assert [view.relation for view in configuration.views] == [
        "casino.crm_users", "casino.crm_user_consents", "casino.crm_deposits", "casino.crm_withdrawals",
        "casino.crm_casino_transactions",
    ]  # fmt: skip
    assert configuration.sources["casino"].encryption == "off"


def test_a_broker_that_cannot_be_had_is_said(monkeypatch):
    """What is not a URL of it, what needs one, and nobody there; no password in any of it."""
    monkeypatch.setattr("smartico_sync.demo.topics.ANSWER_S", 0.2)
    for name, url, failure, said in (
        ("kafka", "amqp://localhost", ConfigError, "Kafka"),
        ("rabbitmq", "", ConfigError, "needs a broker"),
        ("kafka", "kafka://127.0.0.1:9", SourceUnreachable, r"127\.0\.0\.1:9"),
        ("rabbitmq", "amqp://sync:hunter2@127.0.0.1:9", SourceUnreachable, r"127\.0\.0\.1:9"),
    ):
        with pytest.raises(failure, match=said) as caught:
            open_broker(name, url)
        assert "hunter2" not in str(caught.value)


@pytest.mark.slow
def test_a_demo_of_kafka_adds_up(tmp_path):
    """With a broker that it starts itself: as many events are accepted as rows changed."""
    words = ["--listen", f"127.0.0.1:{free_port()}", "--sandbox", f"127.0.0.1:{free_port()}"]
    done = run(["demo", "--source", "kafka", "--for", "5s", *words], tmp_path, 100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it adds up" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_demo_of_rabbitmq_adds_up_and_leaves_nothing(tmp_path, rabbitmq):
    """On a broker that is named: its queues are gone afterwards."""
    words = ["--listen", f"127.0.0.1:{free_port()}", "--sandbox", f"127.0.0.1:{free_port()}"]
    done = run(["demo", "--source", "rabbitmq", "--broker", rabbitmq.url(), "--for", "5s", *words], tmp_path, 100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it adds up" in done.stdout
    assert not [each["name"] for each in rabbitmq.ask("GET", "queues") if each["name"].startswith("casino-")]
