"""The models of `smartico:` and `pii:`: where events go, how fast, and what happens to personal data before."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from smartico_sync.config.base import Model, Text, Word, filled, listed
from smartico_sync.config.units import WAIT_MS, Bytes, Milliseconds

__all__ = ["Brand", "Pii", "Smartico"]

MAX_IN_FLIGHT = 12  # Smartico's limit of parallel requests
REQUESTS_PER_MINUTE = 6000  # Smartico's limit
BATCH_EVENTS = 1000  # operators run 400-1000
BATCH_BYTES = 10_000_000  # Smartico's limit of a request body
API_TIMEOUT_MS = 30_000  # long enough for a full batch on a busy day
PARK_MS = 600_000  # a profile that is not there ten minutes after the player's first bet is not coming by itself


class Brand(Model):
    """What differs for one `ext_brand_id`."""

    url: str | None = None
    """The ingest URL of this brand; the default one when absent."""
    token: SecretStr | None = None
    """The token of this brand."""
    token_file: str | None = None
    """A file that holds the token, relative to the configuration file; read again when it changes."""
    max_in_flight: Annotated[int | None, Field(ge=1, le=64)] = None
    """Parallel requests of a token of its own; the default ones when absent."""
    requests_per_minute: Annotated[int | None, Field(ge=1)] = None
    """Requests a minute of a token of its own; the default ones when absent."""
    alias: Text | None = None
    """The `ext_brand_id` Smartico knows this brand by, when the database calls it otherwise."""


class Smartico(Model):
    """Where events go, and how fast they may."""

    url: Word
    """The whole URL of the ingest API, as in Back Office: `https://apis6.smartico.ai/api/external/events/v2`."""
    encryption: Literal["verified", "off"] = "verified"
    """`off`: the URLs may be `http://` to another machine, which sends token and players in the clear."""
    token: SecretStr | None = None
    """The API token, best as `${SMARTICO_TOKEN}`."""
    token_file: str | None = None
    """A file that holds the token, relative to the configuration file; read again when it changes."""
    max_in_flight: Annotated[int, Field(ge=1, le=64)] = MAX_IN_FLIGHT
    """Parallel requests; Smartico allows 12."""
    requests_per_minute: Annotated[int, Field(ge=1)] = REQUESTS_PER_MINUTE
    """Requests a minute over all views and brands of one token; Smartico allows 6000."""
    batch_events: Annotated[int, Field(ge=1, le=10_000)] = BATCH_EVENTS
    """Events in one request at most."""
    batch_bytes: Annotated[int, Bytes(at_least=10_000)] = BATCH_BYTES
    """Bytes of one request body at most, before gzip."""
    timeout: Annotated[int, Milliseconds(at_least=100, at_most=WAIT_MS)] = API_TIMEOUT_MS
    """How long one request may take. A timeout is an unknown delivery: the same events go again with the same ids."""
    gzip: bool = False
    """Compress request bodies. Not documented by Smartico: ask before switching it on. The extra `isal` does it in a quarter of the time."""
    park: Annotated[int, Milliseconds()] = PARK_MS
    """How long an event waits for its player to become known before it goes to the dead letters."""
    brands: Annotated[dict[str, Brand], BeforeValidator(filled)] = {}
    """Overrides per `ext_brand_id`."""


class Pii(Model):
    """What happens to personal data before it leaves."""

    mode: Literal["encrypt", "drop", "plain"] = "encrypt"
    """`encrypt`, `drop` (leave the properties out), or `plain` (send them in the clear, said in words)."""
    encryptor: Word = "aes-256-gcm"
    """The encryptor's name, found by entry point."""
    key: SecretStr | None = None
    """The key, best as `${SYNC_PII_KEY}`: 32 bytes in base64 for aes-256-gcm; `smartico-sync keys new` prints one."""
    key_file: str | None = None
    """A file that holds the key, relative to the configuration file."""
    key_id: Text = "1"
    """Names the key inside each encrypted value, so that the reader knows which one to use."""
    properties: Annotated[tuple[Word, ...], BeforeValidator(listed)] = ("user_email", "user_phone")
    """Properties to protect, by their name on the wire."""
    in_the_clear: Annotated[tuple[Word, ...], BeforeValidator(listed)] = ()
    """Properties whose names look like an e-mail address or a phone number and that may leave in the clear all the same."""
