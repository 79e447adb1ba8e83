"""The models of `views.yaml`. Names are the contract with users: add, never rename.

Durations are whole milliseconds and sizes whole bytes once parsed. Every default is a constant with its reason. What
needs more than one field to be judged is judged in `checks`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema

from smartico_sync.catalogue.kinds import kind
from smartico_sync.config.base import Model, Text, Word, filled, listed, together
from smartico_sync.config.delivery_models import Brand, Pii, Smartico
from smartico_sync.config.mapping_models import ColumnRule, ColumnRules, FieldPath, FieldPaths, TypeColumn, Where
from smartico_sync.config.monitoring_models import AlertReceiver, Health, Tracing
from smartico_sync.config.units import WAIT_MS, DurationOrOff, Milliseconds
from smartico_sync.core.encryption import Encryption  # noqa: TC001  - likewise
from smartico_sync.core.relation import CursorIs  # noqa: TC001  - pydantic reads it

__all__ = [
    "AlertReceiver", "Brand", "Cluster", "ColumnRule", "Configuration", "DeadLetters", "FieldPath", "Health", "KindName", "LateCommit", "MaxRefused", "Model", "Pii", "Reconcile", "Smartico",
    "SourceConfig", "Tracing", "TypeColumn", "View",
]  # fmt: skip

KindName = Literal[
    "users", "deposits", "deposits_failed", "withdrawals", "withdrawals_requested", "payments", "casino_bets", "casino_wins",
    "casino_bets_and_wins", "casino_rounds", "sport_bets_open", "sport_bets_settled", "sport_bets", "sport_selections_open",
    "sport_selections_settled", "sport_selections", "bonuses", "lottery_ticket", "lottery_settlement", "trade_open",
    "trade_close", "retail_purchase", "login", "game_session", "custom",
]  # fmt: skip
LateCommit = Literal["auto", "fence", "gaps", "lookback"]

STATEMENT_TIMEOUT_MS = 30_000  # a poll query that takes longer has no index
POOL = 4  # connections a source; polls are short
EVERY_MS = 5_000  # soon enough for profiles, kind to a replica
# What a page costs by itself hardly shows, and three of them in flight stay below 100 MB. A request keeps its players
# together, so 20,000 events take 21 requests of a thousand at most: these fill 20.
PAGE_ROWS = 19_600
SETTLE_MS = 2_000  # an ORM takes its id milliseconds before the insert; two seconds forgive a pause of the writer
PIN_CAP_MS = 3_600_000  # an hour: longer than any sane transaction
LOOKBACK_MS = 600_000  # ten minutes: longer than any sane transaction; measured and advised per view
GAPS_WAIT_MS = 300_000  # most missing ids were rolled back; five minutes outlast the longest writers measured, 15 times
SWEEP_MS = 86_400_000  # a day: at a thousand rows a second a million profiles are read in a quarter of an hour
FUTURE_TOLERANCE_MS = 300_000  # clocks of one data centre differ by less
REFUSED_SHARE = 0.5  # when most rows are refused the view is misconfigured, not poisoned
REFUSED_COUNT = 100  # fewer refusals say nothing about a share
RECONCILE_MS = 3_600_000  # the ledger's hours: each is compared soon after it is closed
LEASE_MS = 10_000  # a machine that dies is replaced within seconds, and a pause of the garbage collector or the network is none
DEAD_LETTERS_MS = 7_776_000_000  # 90 days: who has not looked at them in a quarter does not
DEAD_LETTERS = 100_000  # of a view: 30 MB; more come of one mistake, and are found again by `smartico-sync backfill`
LEDGER_RETENTION_MS = 604_800_000  # seven days: a weekend's trouble is still found on Monday
NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"


def numbered(version: object) -> object:
    """Take `"1"` for 1."""
    return 1 if version == "1" else version


Columns = Annotated[
    tuple[Word, ...] | None,
    BeforeValidator(listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]

Relations = Annotated[
    Word | None,
    BeforeValidator(together),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class SourceConfig(Model):
    """One database or broker to read."""

    url: SecretStr
    """`postgresql://user:password@host:port/database`, or another engine's scheme."""
    password_file: str | None = None
    """A file that holds the password, relative to the configuration file; the URL then has a user and no password."""
    timezone: Word = "UTC"
    """The zone of timestamps that carry none (an IANA name)."""
    statement_timeout: Annotated[int, Milliseconds(at_least=100, at_most=WAIT_MS)] = STATEMENT_TIMEOUT_MS
    """How long one query may run, enforced by the server and by the client."""
    pool: Annotated[int, Field(ge=1, le=64)] = POOL
    """Connections at most."""
    encryption: Encryption | None = None
    """`verified`: TLS, and the server's certificate is checked. `unverified`: TLS with whoever answers. `off`: none. When absent, verified for every host but this machine, whose engine decides."""
    options: Annotated[dict[str, str], BeforeValidator(filled), Field(repr=False)] = {}
    """Parameters of the URL that are better written here; see the page of the engine under docs/databases or docs/streams."""
    group: Word | None = None
    """For a broker: the consumer group's name; each view is the group `<group>.<view>`. `smartico-sync` when absent."""


class MaxRefused(Model):
    """When a view is simply misconfigured: both limits must be passed within one page, or the last thousand rows."""

    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = REFUSED_SHARE
    """Refused events of all events, 0 to 1."""
    count: Annotated[int, Field(ge=1)] = REFUSED_COUNT
    """Refused events."""


class View(Model):
    """One view to poll."""

    name: Annotated[str, Field(pattern=NAME)]
    """Names the view in state, logs and metrics."""
    identity: Annotated[str | None, Field(pattern=NAME)] = None
    """What event ids are made of; the name at the first start when absent, and kept by the state. A view that is renamed keeps its ids, its place and all else it remembers under `identity:` with its first name."""
    source: Word
    """Which of `sources`."""
    relation: Relations = None
    """A view, table or collection; of a broker a topic or queue, a list of topics, or a pattern of topics between slashes: `/casino\\..*/`."""
    query: Word | None = None
    """A SELECT, instead of `relation`; for MongoDB an aggregate command in JSON: `{"aggregate": "bets", "pipeline": […]}`."""
    kind: KindName
    """What its rows are."""
    cursor: Text = ""
    """The column that grows: a timestamp or an incrementing id, indexed and not null. Every view of a database needs one; messages have none."""
    key: Columns = None
    """Column or columns that make a row unique; the kind's default when absent, `[]` for none. See [identity](identity.md)."""
    cursor_is: CursorIs = "auto"
    """What the cursor's values mean: `auto` is a time where the column is one, else an id. Numbers may be seconds, milliseconds or microseconds since 1970."""
    brand: Text | None = None
    """The `ext_brand_id` of every row, when the view has no such column."""
    group: Annotated[str | None, Field(pattern=NAME)] = None
    """For a state that several members share: the name of the group of views that one of them works with. Views that use one token are always in one group; a brand's name, or `default`, when absent."""
    every: Annotated[int, Milliseconds(at_least=50, at_most=WAIT_MS)] = EVERY_MS
    """Pause between polls once caught up."""
    page_rows: Annotated[int, Field(ge=1, le=200_000)] = PAGE_ROWS
    """Rows a page."""
    type: TypeColumn | None = None
    """For one table of several things: the column that says what a row is, and the values of each role."""
    where: Annotated[Where, BeforeValidator(filled)] = {}
    """Rows to send: those whose column holds this value, or one of this list; all others are left out, and counted. Of messages the path: `status`, `headers.type`, `properties.type`."""
    format: Literal["json", "debezium"] = "json"
    """For messages: what they are written in."""
    root: Word | None = None
    """For messages: the path of the object whose members are the columns; the whole message when absent."""
    fields: Annotated[FieldPaths, BeforeValidator(filled)] = {}
    """For messages: the columns, each with the path of its value, like the list of a SELECT; every member of the root when absent."""
    version: Word | None = None
    """For profiles in messages: the column that grows with each change of a player. What is older than what was delivered is left out, and counted."""
    on_tombstone: Literal["skip", "dead_letter"] = "skip"
    """For messages: what to do about one without a body, and about deletions."""
    on_gap: Literal["stop", "continue"] = "stop"
    """For messages: what to do when the broker deleted some that were not read."""
    dead_letters: Literal["state", "broker"] = "state"
    """For queues: `broker` also hands a message that is given up to the queue's dead-letter exchange. Without one it is deleted there."""
    event_type: Word | None = None
    """For `custom`: the event type. For a kind of one event type: another one than the kind's."""
    event_date: Word | None = None
    """The column that holds the moment of the event; the kind's default when absent."""
    columns: Annotated[ColumnRules, BeforeValidator(filled)] = {}
    """Column to property, over the kind's defaults, or how it is read; null leaves the column out."""
    unmapped: Literal["omit", "send"] | None = None
    """Columns that mean nothing to the kind: left out, or sent under their own names; sent for `users` and `custom` when absent."""
    fold: Literal["on", "off"] = "on"
    """Write closed lists and ISO codes in the catalogue's way (`Active` is ACTIVE, `en-GB` is EN), or as they are."""
    timezone: Word | None = None
    """The zone of timestamps and texts that carry none (an IANA name); the source's when absent."""
    arrays: Annotated[dict[str, Literal["replace", "add", "sync"]], BeforeValidator(filled)] = {}
    """For profiles: how a property that is a set of names is told. `replace`: the whole set; `add`: what it holds is added, and nothing taken away; `sync`: what came is added, what went is taken away, and names that others gave stay."""
    payload: Literal["full", "changed"] = "full"
    """For profiles: every property, or only the changed ones."""
    on_null: Literal["omit", "clear"] | None = None
    """For profiles: a column that became NULL is left out, or clears the property; when absent, personal data is cleared and all else left out."""
    skip_cjm: Literal["never", "first_load", "always"] = "never"
    """For profiles: store the state without starting automations, for the first load or always."""
    late_commit: LateCommit = "auto"
    """How rows that commit late are found."""
    lookback: Annotated[int, Milliseconds()] = LOOKBACK_MS
    """How far back timestamps are scanned again."""
    gaps_wait: Annotated[int, Milliseconds()] = GAPS_WAIT_MS
    """How long a missing id is asked for again before its writer counts as rolled back."""
    start_from: Text = "first"
    """`first`, `now`, or the first cursor value to send: a time (it may name its offset) or an id; only at the very first start."""
    on_known_relation: Literal["refuse", "send"] = "refuse"
    """At the very first start, what to do about a relation whose rows the state has sent under another view's name: sent again, they count twice."""
    on_null_cursor: Literal["report", "send", "stop"] = "report"
    """What to do about rows whose cursor is NULL."""
    on_invalid: Literal["report", "omit", "dead_letter"] = "report"
    """What to do about values that break the catalogue's rules: send and count them, leave them out, or give the row up. What is optional and cannot be read is left out, or with `dead_letter` costs its row."""
    on_refused_property: Literal["dead_letter", "omit"] = "dead_letter"
    """What to do about an event of which the API refuses a property by its name: give it up, or send it again without that property and count it. What the kind needs is never left out."""
    on_mutated: Literal["ignore", "warn", "resend"] = "warn"
    """What to do about a delivered transaction that changed within `lookback`; sent again it is a new event."""
    on_schema_change: Literal["report", "stop"] = "report"
    """What to do when columns that are sent are new, gone or of another type: go on with them as they are now and tell it until `smartico-sync watermark accept`, or stop before anything is sent."""
    on_regressed: Literal["stop", "warn"] = "stop"
    """What to do when rows delivered last are gone: the source was restored, or a stale replica took over."""
    settle: Annotated[int, Milliseconds()] = SETTLE_MS
    """For the fence: how long a writer may hold an id or a time before its first change."""
    on_pinned: Literal["wait", "release"] = "wait"
    """For the fence: a writer that stays open keeps the watermark, or lets it go after `pin_cap` (rows may be lost then)."""
    pin_cap: Annotated[int, Milliseconds()] = PIN_CAP_MS
    """For the fence: how long a writer may keep the watermark before it is told, or let go."""
    max_refused: MaxRefused = MaxRefused()
    """When the share of refused events stops the view."""
    future_tolerance: Annotated[int, Milliseconds(at_most=WAIT_MS)] = FUTURE_TOLERANCE_MS
    """How far a timestamp may lie ahead of the database's clock before the watermark stays behind it."""
    sweep: DurationOrOff = SWEEP_MS
    """For profiles: how often all of them are read again and changed ones are sent, or `off`. By default only where the view is made of several tables, whose changes need not move the cursor; written out, in any case."""
    max_age: DurationOrOff = None
    """Alert when nothing newer than this is known to be delivered: since the last poll that found nothing new began to read."""

    def event_types(self) -> dict[str, str]:
        """Map a row's role to its event type: the kind's, or {"": the configured one}."""
        if self.event_type:
            return {"": self.event_type}
        types = kind(self.kind).event_types
        roles = self.type.roles if self.type else types if "" not in types else ("",)
        return {role: types[role] for role in roles}

    @property
    def targets(self) -> dict[str, str | None]:
        """What `columns:` says of each column: a name, its own where it is only read otherwise; None for one that is left out."""
        return {name: (rule.property or name) if rule else None for name, rule in self.columns.items()}


class Reconcile(Model):
    """Compare what the source holds with what was acknowledged."""

    every: DurationOrOff = RECONCILE_MS
    """How often each view is compared, or `off`: a run costs the replica a count per closed hour, and the keys of the last ones."""
    send: Literal["report", "send"] = "report"
    """Only list what is missing, or send it."""
    ledger_retention: Annotated[int, Milliseconds(at_least=3_600_000)] = LEDGER_RETENTION_MS
    """How long the keys of delivered rows are kept; then only their counts."""


class DeadLetters(Model):
    """How long rows that were given up are remembered. What is older, or more, is dropped, counted and told in the log."""

    keep: DurationOrOff = DEAD_LETTERS_MS
    """How long, or `off` for ever."""
    most: Annotated[int, Field(ge=1)] = DEAD_LETTERS
    """How many of each view at most; the oldest go first."""


class Cluster(Model):
    """How the members that share a state in PostgreSQL share the work."""

    lease: Annotated[int, Milliseconds(at_least=1_000, at_most=WAIT_MS)] = LEASE_MS
    """How long a member that says nothing more keeps its place: another one takes over after that. It is renewed every third of it."""
    member: Word | None = None
    """What this member is called, when not by the name of its machine: `${POD_NAME}`."""
    key_file: Word | None = None
    """A file with the state's secret, 32 bytes in base64, the same for every member, relative to the configuration file; the database never holds it. `smartico-sync keys new --quiet` prints one."""
    topics: Literal["leased", "shared"] = "leased"
    """`leased`: all of a Kafka view is read by the member that holds its group. `shared`: every member reads the partitions that Kafka gives it; all of them draw the requests of a token from one budget. Queues, and profiles with a `version:`, stay leased."""


class Configuration(Model):
    """The whole of `views.yaml`."""

    version: Annotated[Literal[1], BeforeValidator(numbered)]
    """The version of this format."""
    smartico: Smartico
    """Where events go."""
    state: Annotated[Word, Field(repr=False)] = "./state/sync.db"
    """The state file, relative to the configuration file; or `postgresql://user:password@host:port/database` for two machines and more, of which one works and the others stand by."""
    state_key_file: Word | None = None
    """A file that holds the state's secret, 32 bytes in base64, relative to the configuration file: then it is not kept beside the state. A systemd credential, for instance; `smartico-sync state key FILE` writes it."""
    cluster: Cluster = Cluster()
    """Several machines with one state in PostgreSQL."""
    pii: Pii = Pii()
    """Personal data."""
    health: Health = Health()
    """The endpoint for monitoring."""
    alerts: Annotated[dict[str, AlertReceiver], BeforeValidator(filled)] = {}
    """Who is told when something begins, becomes worse, and is over; by a name of your choice."""
    tracing: Tracing = Tracing()
    """Traces for OpenTelemetry."""
    reconcile: Reconcile = Reconcile()
    """The safety net under every late-commit mechanism."""
    dead_letters: DeadLetters = DeadLetters()
    """Rows that were given up."""
    sources: Annotated[dict[str, SourceConfig], BeforeValidator(filled), Field(min_length=1)]
    """The databases to read, by a name of your choice."""
    views: Annotated[tuple[View, ...], Field(min_length=1)]
    """The views to poll."""
