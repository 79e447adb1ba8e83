"""TLS and logins of Kafka, through a front before a broker that has neither."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import pytest

from servers.certificates import Authority
from servers.kafka import MEMBER, new_name
from servers.kafka_front import KafkaFront
from smartico_sync.config.models import SourceConfig
from smartico_sync.errors import SourceRefused, SourceUnreachable
from smartico_sync.sources.registry import open_stream
from smartico_sync.sources.stream import Feed

from .conftest import Book, drained

PASSWORD = "hunter2,=/ü"
WRITTEN = "hunter2%2C%3D%2F%C3%BC"


class Door:
    """A topic behind a front."""

    def __init__(self, server, directory, mechanism):
        self.authority = Authority(directory)
        self.front = KafkaFront(
            int(urlsplit(server.url).port), mechanism=mechanism, user="sync", password=PASSWORD, tls=self.tls()
        )
        self.topic = server.topic(new_name())
        server.put(self.topic, b'{"n": 1}', b'{"n": 2}', partition=0)

    def tls(self):
        return self.authority.issue("broker", address="127.0.0.1").tls()

    def stream(self, sasl, login=f"sync:{WRITTEN}@", more="", **options):
        options = {"ca": str(self.authority.certificate), **({"sasl": sasl} if sasl else {}), **options}
        url = f"kafkas://{login}127.0.0.1:{self.front.port}?{MEMBER}{more}"
        return open_stream("bus", SourceConfig.model_validate({"url": url, "options": options}))

    def feed(self):
        return Feed("bets", (self.topic,), f"g.{self.topic}", state="state-1")


@pytest.fixture
def door(kafka_mock, tmp_path):
    """A topic behind a front that wants TLS and a login: `door(mechanism)`."""
    made = []

    def make(mechanism="", kind=Door):
        made.append(kind(kafka_mock, tmp_path, mechanism))
        return made[-1]

    yield make
    for each in made:
        each.front.close()


def refusal(ask):
    """What it is refused with; where the answer did not come in time it is asked again."""
    while True:
        try:
            ask()
        except SourceUnreachable:
            continue
        except SourceRefused as error:
            return error


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_through_tls_reads_the_topic(door, mechanism):
    """Whatever the password is made of; every connection of the member shows it."""
    made = door(mechanism)
    subscription = made.stream(mechanism.lower()).subscribe(made.feed(), Book())
    assert [message.value for message in drained(subscription)] == [b'{"n": 1}', b'{"n": 2}']
    subscription.close()
    assert made.front.logins


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_refused_and_logged_nowhere(door, mechanism, capfd, monkeypatch):
    """Neither is the right one, though the client is told to debug; whatever is asked for, the login is what is said."""
    monkeypatch.setattr("smartico_sync.sources.kafka.ASK_S", 0.4)
    monkeypatch.setattr("smartico_sync.sources.kafka.topics.ASK_S", 0.4)
    made = door(mechanism)
    stream = made.stream(mechanism.lower(), login="sync:hunter3@", more="&librdkafka.debug=all")
    for ask in (stream.facts, lambda: stream.subscribe(made.feed(), Book()), lambda: stream.sample(made.feed(), 1)):
        error = refusal(ask)
        assert "refuses the login" in error.message
        assert "hunter" not in f"{error.message}{error.hint}"
    said = capfd.readouterr()
    assert "hunter" not in said.out + said.err
    assert made.front.logins == []


def test_a_certificate_of_another_authority_is_not_believed(door, tmp_path, monkeypatch):
    """The password is not shown to whoever has one."""
    monkeypatch.setattr("smartico_sync.sources.kafka.ASK_S", 0.4)
    made = door("PLAIN")
    other = Authority(tmp_path, "other")
    stream = made.stream("plain", ca=str(other.certificate))
    assert "certificate is not believed" in refusal(stream.facts).message
    assert made.front.logins == []


class WithCertificates(Door):
    """A front that wants to see a certificate."""

    def tls(self):
        context = super().tls()
        context.load_verify_locations(self.authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def test_a_client_certificate_is_a_login(door):
    """Without a user; and without the certificate nobody comes in."""
    made = door(kind=WithCertificates)
    own = made.authority.issue("daemon")
    stream = made.stream("", login="", certificate=str(own.certificate), key_file=str(own.key))
    subscription = stream.subscribe(made.feed(), Book())
    assert len(drained(subscription)) == 2
    subscription.close()


def test_certificates_that_are_refused_are_said(door, tmp_path, monkeypatch):
    """Whose it is: ours, or the broker's."""
    monkeypatch.setattr("smartico_sync.sources.kafka.ASK_S", 0.4)
    made = door(kind=WithCertificates)
    assert "refuses our certificate: certificate required" in refusal(made.stream("", login="").facts).message
    stranger = Authority(tmp_path, "other").issue("stranger")
    shown = {"certificate": str(stranger.certificate), "key_file": str(stranger.key)}
    assert "refuses our certificate: unknown ca" in refusal(made.stream("", login="", **shown).facts).message
