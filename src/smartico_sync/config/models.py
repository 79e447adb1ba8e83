"""The models of `views.yaml`. Names are the contract with users: add, never rename.

Durations are whole milliseconds and sizes whole bytes once parsed. Every default is a constant with its reason.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from smartico_sync.config.units import Duration, Size

__all__ = [
    "Brand", "Configuration", "Health", "KindName", "LateCommit", "Pii", "Smartico", "SourceConfig", "TypeColumn", "View",
]  # fmt: skip

KindName = Literal[
    "users", "deposits", "deposits_failed", "withdrawals", "withdrawals_requested", "casino_bets", "casino_wins",
    "casino_bets_and_wins", "casino_rounds", "sport_bets_open", "sport_bets_settled", "sport_selections_open",
    "sport_selections_settled", "bonuses", "custom",
]  # fmt: skip
LateCommit = Literal["auto", "fence", "gaps", "lookback"]

MAX_IN_FLIGHT = 12  # Smartico's limit of parallel requests
REQUESTS_PER_MINUTE = 6000  # Smartico's limit
BATCH_EVENTS = 1000  # operators run 400-1000
BATCH_BYTES = 10_000_000  # Smartico's limit of a request body
API_TIMEOUT_MS = 30_000  # long enough for a full batch on a busy day
STATEMENT_TIMEOUT_MS = 30_000  # a poll query that takes longer has no index
POOL = 4  # connections a source; polls are short
EVERY_MS = 5_000  # soon enough for profiles, kind to a replica
PAGE_ROWS = 10_000  # about 90 % of 12 batches, so that each request of a page is nearly full
LOOKBACK_MS = 600_000  # ten minutes: longer than any sane transaction; measured and advised per view
NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"


class Model(BaseModel):
    """Unknown keys are errors; parsed values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class Brand(Model):
    """What differs for one `ext_brand_id`."""

    url: str | None = None
    """The ingest URL of this brand; the default one when absent."""
    token: SecretStr | None = None
    """The token of this brand."""
    token_file: str | None = None
    """A file that holds the token; read again when it changes."""
    alias: str | None = None
    """The `ext_brand_id` Smartico knows this brand by, when the database calls it otherwise."""


class Smartico(Model):
    """Where events go, and how fast they may."""

    url: str
    """The whole URL of the ingest API, as in Back Office: `https://apis6.smartico.ai/api/external/events/v2`."""
    token: SecretStr | None = None
    """The API token, best as `${SMARTICO_TOKEN}`."""
    token_file: str | None = None
    """A file that holds the token; read again when it changes."""
    max_in_flight: Annotated[int, Field(ge=1, le=64)] = MAX_IN_FLIGHT
    """Parallel requests; Smartico allows 12."""
    requests_per_minute: Annotated[int, Field(ge=1)] = REQUESTS_PER_MINUTE
    """Requests a minute over all views and brands of one token; Smartico allows 6000."""
    batch_events: Annotated[int, Field(ge=1, le=10_000)] = BATCH_EVENTS
    """Events in one request at most."""
    batch_bytes: Annotated[Size, Field(ge=10_000)] = BATCH_BYTES
    """Bytes of one request body at most, before gzip."""
    timeout: Annotated[Duration, Field(ge=100)] = API_TIMEOUT_MS
    """How long one request may take. A timeout is an unknown delivery: the same events go again with the same ids."""
    gzip: bool = False
    """Compress request bodies. Not documented by Smartico: ask before switching it on."""
    brands: dict[str, Brand] = {}
    """Overrides per `ext_brand_id`."""


class Pii(Model):
    """What happens to personal data before it leaves."""

    mode: Literal["encrypt", "drop", "plain"] = "encrypt"
    """encrypt, drop (leave the properties out), or plain (send them in the clear, said in words)."""
    encryptor: str = "aes-256-gcm"
    """The encryptor's name, found by entry point."""
    key: SecretStr | None = None
    """32 bytes in base64; `sync keys new` prints one."""
    key_file: str | None = None
    """A file that holds the key."""
    key_id: str = "1"
    """Names the key inside each encrypted value, so that the reader knows which one to use."""
    properties: tuple[str, ...] = ("user_email", "user_phone")
    """Properties to protect, by their name on the wire."""


class Health(Model):
    """The endpoint that monitoring scrapes."""

    listen: str = "127.0.0.1:8080"
    """Address and port, or `off`."""


class SourceConfig(Model):
    """One database to read."""

    url: SecretStr
    """`postgresql://user:password@host:port/database`, or another engine's scheme."""
    timezone: str = "UTC"
    """The zone of timestamps that carry none (an IANA name)."""
    statement_timeout: Annotated[Duration, Field(ge=100)] = STATEMENT_TIMEOUT_MS
    """How long one query may run, enforced by the server and by the client."""
    pool: Annotated[int, Field(ge=1, le=64)] = POOL
    """Connections at most."""
    options: dict[str, str] = {}
    """Driver options of this engine, see its page under docs/databases."""


class TypeColumn(Model):
    """The column that says bet or win."""

    column: str
    bet: str
    win: str


class View(Model):
    """One view to poll."""

    name: Annotated[str, Field(pattern=NAME)]
    """Names the view in state, logs and metrics. Renaming it begins anew."""
    source: str
    """Which of `sources`."""
    relation: str | None = None
    """A view, table or collection."""
    query: str | None = None
    """A SELECT, instead of `relation`."""
    kind: KindName
    """What its rows are."""
    cursor: str
    """The column that grows: a timestamp or an incrementing id, indexed and not null."""
    key: Annotated[tuple[str, ...] | None, Field(default=None)] = None
    """Column or columns that make a row unique; the kind's default when absent, `[]` for none."""
    every: Annotated[Duration, Field(ge=50)] = EVERY_MS
    """Pause between polls once caught up."""
    page_rows: Annotated[int, Field(ge=1, le=200_000)] = PAGE_ROWS
    """Rows a page."""
    type: TypeColumn | None = None
    """For `casino_bets_and_wins`: the column that tells a bet from a win, and its two values."""
    event_type: str | None = None
    """For `custom`: the event type."""
    event_date: str | None = None
    """The column that holds the moment of the event; the kind's default when absent."""
    columns: dict[str, str | None] = {}
    """Column to property, over the kind's defaults; null leaves the column out."""
    payload: Literal["full", "changed"] = "full"
    """For profiles: every property, or only the changed ones."""
    on_null: Literal["omit", "clear"] = "omit"
    """For profiles: a column that is NULL is left out, or clears the property."""
    late_commit: LateCommit = "auto"
    """How rows that commit late are found."""
    lookback: Annotated[Duration, Field(ge=0)] = LOOKBACK_MS
    """How far back timestamps are scanned again."""
    start_from: str = "first"
    """`first`, `now`, or a cursor value; only at the very first start."""
    on_null_cursor: Literal["report", "send", "stop"] = "report"
    """What to do about rows whose cursor is NULL."""
    on_invalid: Literal["report", "omit", "dead_letter"] = "report"
    """What to do about values that break the catalogue's rules."""


class Configuration(Model):
    """The whole of `views.yaml`."""

    version: Literal[1]
    smartico: Smartico
    state: str = "./state/sync.db"
    """The state file; relative to the configuration file."""
    pii: Pii = Pii()
    health: Health = Health()
    sources: Annotated[dict[str, SourceConfig], Field(min_length=1)]
    views: Annotated[tuple[View, ...], Field(min_length=1)]
