"""What may leave this machine in the clear is said in words."""

from __future__ import annotations

import pytest

from smartico_sync.errors import ConfigError

API = "https://apis6.smartico.ai/api/external/events/v2"


def test_http_to_another_machine_needs_a_word(desk):
    """Token and players would be read by whoever is on the way: the message has the word to write, and it mends it."""
    with pytest.raises(ConfigError, match=r"smartico\.url: http would send token and players in the clear") as told:
        desk.edited(API, "http://apis6.smartico.ai/events")
    assert "`encryption: off`" in told.value.message
    assert desk.edited(API, "http://apis6.smartico.ai/events\n  encryption: off").smartico.encryption == "off"


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost:9000", "[::1]:9000"])
def test_http_within_this_machine_needs_none(desk, host):
    """As the sandbox and the demo have it."""
    assert desk.edited(API, f"http://{host}/events").smartico.url == f"http://{host}/events"


def test_http_of_one_brand_needs_the_word_too(desk):
    """Each brand's URL is one more place that a token goes to."""
    with pytest.raises(ConfigError, match=r"brands\.One\.url: http"):
        desk.edited(API, f"{API}\n  brands: {{One: {{url: 'http://apis7.smartico.ai/events'}}}}")


@pytest.mark.parametrize("word", ["verified", "unverified", "off"])
def test_a_source_has_words_for_its_encryption(desk, word):
    """YAML's `off` is the word, not a boolean."""
    url = "mysql://reader@replica/casino"
    assert desk.edited(url, f"{url}\n    encryption: {word}").sources["other"].encryption == word


def test_another_word_is_told(desk):
    """With those that there are."""
    url = "mysql://reader@replica/casino"
    with pytest.raises(ConfigError, match="encryption"):
        desk.edited(url, f"{url}\n    encryption: maybe")
