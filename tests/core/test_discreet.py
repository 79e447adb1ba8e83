"""Secrets, and what players are known by, are not printed with the records that hold them."""

import pytest
from rich.pretty import pretty_repr

from smartico_sync.core.pipeline import PipelineOptions
from smartico_sync.core.records import Commit
from smartico_sync.core.view_mapping import Options
from smartico_sync.delivery.proxies import Proxy
from smartico_sync.sources.kafka.settings import Settings as OfKafka
from smartico_sync.sources.kit.url import Url
from smartico_sync.sources.rabbitmq.settings import Settings as OfRabbitmq
from smartico_sync.state.key_file import KeyFile
from smartico_sync.state.place import FilePlace, ServerPlace
from smartico_sync.state.postgresql.first_start import Wish

HIDDEN = {
    Commit: {"bodies"},
    FilePlace: {"apart"},
    KeyFile: {"secret"},
    OfKafka: {"common"},
    OfRabbitmq: {"password"},
    Options: {"secret"},
    PipelineOptions: {"secret"},
    Proxy: {"user", "password"},
    ServerPlace: {"url", "secret"},
    Url: {"password", "parameters"},
    Wish: {"url", "secret"},
}


@pytest.mark.parametrize("kind", HIDDEN, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
@pytest.mark.parametrize("printed", [repr, pretty_repr])
def test_a_record_is_printed_without_its_secrets(kind, printed):
    record = kind(**{name: f"the {name}" for name in kind.__struct_fields__})
    assert {name for name in kind.__struct_fields__ if f"the {name}'" not in printed(record)} == HIDDEN[kind]
