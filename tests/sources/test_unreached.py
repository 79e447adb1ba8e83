"""Why nobody was reached is told by every driver that keeps it to itself: an unknown name and a closed port have different remedies."""

from __future__ import annotations

import errno

import pika
import pytest
from confluent_kafka import KafkaError
from pika.exceptions import AMQPError
from pymongo.errors import ServerSelectionTimeoutError

from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.kafka import failures as kafka
from smartico_sync.sources.kit.network_failures import unreachable
from smartico_sync.sources.mongodb import failures as mongodb
from smartico_sync.sources.rabbitmq import failures as rabbitmq

ENDING = " (configured timeouts: socketTimeoutMS: 20000.0ms, connectTimeoutMS: 20000.0ms), Timeout: 0.5s, Topology Description: <...>"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no-such.invalid:27017: [Errno -2] Name or service not known", "the host name is unknown"),
        ("127.0.0.1:1: [Errno 111] Connection refused", "nobody answers"),
        ("10.0.0.1:27017: timed out", "nobody answered in time"),
        ("No replica set members match selector", "no server answers that may be read"),
        (
            "h:27017: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1016)",
            "no TLS connection: the certificate has expired",
        ),
        (
            "h:1: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid for 'h'.",
            "no TLS connection: the certificate is for another host",
        ),
    ],
)
def test_mongodb(said, told):
    """The driver quotes what each server's connection said, if no server is known at all."""
    found = mongodb.failure(ServerSelectionTimeoutError(said + ENDING), "source db", "the server")
    assert isinstance(found, SourceUnreachable)
    assert told in found.message


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (KafkaError._RESOLVE, "Failed to resolve 'no-such.invalid:9093': Name or service", "the host name is unknown"),
        (KafkaError._TRANSPORT, "Connect to ipv4#127.0.0.1:1 failed: Connection refused", "nobody answers"),
        (KafkaError._TRANSPORT, "Disconnected while requesting ApiVersion", "the connection broke"),
        (KafkaError._TRANSPORT, "Failed to get metadata: Local: Broker transport failure", "no broker answers"),
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down", "no broker answers"),
    ],
)
def test_kafka(code, said, told):
    """What the client says beside its answers has the cause; none is told by the client's own word for it."""
    found = kafka.failure_of(KafkaError(code, said), "source db")
    assert isinstance(found, SourceUnreachable)
    assert told in found.message
    assert "transport" not in found.message


@pytest.mark.parametrize(
    ("host", "told"), [("no-such.invalid", "the host name is unknown"), ("127.0.0.1", "nobody answers")]
)
def test_rabbitmq(host, told):
    """The client puts what the socket said inside its own exception."""
    with pytest.raises((AMQPError, OSError)) as caught:
        pika.BlockingConnection(pika.ConnectionParameters(host, 1, socket_timeout=2))
    found = rabbitmq.failure_of(caught.value, "source db")
    assert isinstance(found, SourceUnreachable)
    assert found.message.endswith(told)


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "x"), RuntimeError("could not create socket: Too many open files")]
)
def test_a_process_without_descriptors(error):
    """It is told as what it is, whatever the driver makes of it: the network is well."""
    found = unreachable(error, "source db")
    assert "may open no more files" in found.message
    assert "LimitNOFILE" in found.hint
