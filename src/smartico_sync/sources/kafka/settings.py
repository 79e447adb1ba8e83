"""What the client is told, from the source's URL and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from smartico_sync.catalogue.engines import KAFKA
from smartico_sync.core.discreet import Discreet
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kafka.client import QUIET, Client
from smartico_sync.sources.kafka.iam import region_of, token_source
from smartico_sync.sources.kit.broker_login import BrokerLogin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.sources.stream import Feed

__all__ = ["Settings", "settings_of"]

MECHANISMS = {
    "plain": "PLAIN",
    "scram-sha-256": "SCRAM-SHA-256",
    "scram-sha-512": "SCRAM-SHA-512",
    "oidc": "OAUTHBEARER",
    "msk-iam": "OAUTHBEARER",
}
IAM = "msk-iam"  # the one login without a user: the machine has it
HANDED_ON = KAFKA.handed_on
FILES = {
    "ca": "ssl.ca.location", "certificate": "ssl.certificate.location", "key_file": "ssl.key.location",
    "key_password": "ssl.key.password",
}  # fmt: skip
# What the guarantees rest on, and what the daemon sets itself.
OURS = frozenset({
    "bootstrap.servers", "group.id", "group.instance.id", "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset",
    "isolation.level", "enable.partition.eof", "security.protocol", "sasl.mechanism", "sasl.username", "sasl.password",
})  # fmt: skip
REFRESH = "topic.metadata.refresh.interval.ms"
CONSUMING: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # a position that is gone is said, never replaced
    "isolation.level": "read_committed",
    "enable.partition.eof": True,  # the end of a lane is what the broker says it is
    "fetch.queue.backoff.ms": 10,  # with the client's second a busy topic waits most of the time
    "queued.max.messages.kbytes": 65_536,
    "partition.assignment.strategy": "range",
    REFRESH: 30_000,  # partitions that are added, and topics of a pattern
}
READING = {  # beside a group: what is read again, sampled or compared
    **CONSUMING,
    "queued.max.messages.kbytes": 4_096,
}
MOST_SILENCE_MS = 300_000  # the client takes no more; what is asked of a broker takes moments
# One of many that is silent holds up its partitions only, and is replaced sooner; brokers take 6 s and more.
SHARED_SESSION_MS = 10_000
OF_MEMBERS = frozenset({"group.protocol", "group.remote.assignor", "max.poll.interval.ms", "heartbeat.interval.ms"})


class Settings(Discreet, frozen=True):
    """How to reach the brokers. `place`: for messages; `common` holds secrets."""

    unprinted = frozenset({"common"})

    place: str
    common: Mapping[str, Any]
    session_ms: int
    instance: str
    encrypted: Literal["yes", "no"] = "no"
    encryption: str = ""

    @property
    def new_protocol(self) -> bool:
        """Whether the group is kept by the brokers (`group.protocol` consumer)."""
        return str(self.common.get("group.protocol", "classic")).lower() == "consumer"

    @property
    def refresh_s(self) -> float:
        """How often topics are looked for."""
        return int(self.common.get(REFRESH, CONSUMING[REFRESH])) / 1000

    def member(self, feed: Feed, more: Mapping[str, Any]) -> Client:
        """A member of a group; the feed's state names a single daemon. ConfigError for settings that the client refuses.

        One of many leaves when it ends, so that others go on at once.
        """
        group, state, session_ms = feed.group, feed.state, self.session_ms
        if feed.members == "many":
            state, session_ms = "", min(session_ms, SHARED_SESSION_MS)
        own: dict[str, Any] = {**CONSUMING, "group.id": group, "session.timeout.ms": session_ms}
        if self.new_protocol:
            del own["session.timeout.ms"], own["partition.assignment.strategy"]
        instance = self.instance or f"{group}-{state[:12]}"
        if self.instance != "none" and state:
            own["group.instance.id"] = instance
        return self.made({**own, **self.common, **more})

    def reader(self, group: str, more: Mapping[str, Any] | None = None) -> Client:
        """A client that reads without being a member of the group."""
        common = {name: value for name, value in self.common.items() if name not in OF_MEMBERS}
        return self.made({**READING, **common, "group.id": group, **(more or {})})

    def made(self, settings: dict[str, Any]) -> Client:
        """A client of these settings."""
        try:
            return Client(settings)
        except (KafkaException, ValueError, TypeError) as error:
            raise ConfigError(
                f"{self.place}: the client refuses a setting: {setting_in(error, settings)}",
                hint=f"check the source's options, above all those that begin with {HANDED_ON}",
            ) from None

    def admin(self) -> AdminClient:
        """A client that asks about topics and groups."""
        common = {name: value for name, value in self.common.items() if not name.startswith(("group.", "fetch."))}
        return AdminClient(common, logger=QUIET)


def setting_in(error: Exception, settings: Mapping[str, Any]) -> str:
    """The name of the setting that an error is about; its value may be a secret."""
    said = str(error)
    return next((name for name in sorted(settings, key=len, reverse=True) if name in said), "one of them")


class Login(BrokerLogin):
    """What the URL and the options say."""

    @property
    def servers(self) -> str:
        """Every broker that is named, as the client wants it."""
        if not self.url.hosts or not all(host for host, _ in self.url.hosts):
            raise self.wrong("the url names no host", f"write {KAFKA.scheme}://host:{KAFKA.port}")
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts())

    def user(self) -> dict[str, Any]:
        """User and password in the way that the brokers want; nothing without a user, unless the machine is one."""
        sasl = self.one_of([*MECHANISMS], "sasl", self.given("sasl").lower())
        known = MECHANISMS[sasl]
        if sasl == IAM:
            return {"sasl.mechanism": known, "oauth_cb": token_source(self.place, self.region())}
        if not self.url.user:
            return {}
        if known == "OAUTHBEARER":
            return {
                "sasl.mechanism": known, "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": self.url.user,
                "sasl.oauthbearer.client.secret": self.url.password,
            }  # fmt: skip
        return {"sasl.mechanism": known, "sasl.username": self.url.user, "sasl.password": self.url.password}

    def region(self) -> str:
        """Where a login by IAM is signed for. ConfigError for what cannot be one."""
        if self.url.user:
            raise self.wrong(
                f"`sasl: {IAM}` has no user: the machine's own credentials sign",
                "take user and password out of the url",
            )
        if not self.secure:
            raise self.wrong(f"`sasl: {IAM}` is with TLS only", f"write {KAFKA.scheme}s:// and the port of IAM, 9098")
        region = self.parameters.get("region") or region_of(self.machines())
        if not region:
            raise self.wrong("the brokers' names do not tell the region", "write it: `region: eu-central-1`")
        return region

    def client_s_own(self) -> dict[str, str]:
        """Settings of the client itself, those that the promises rest on excepted."""
        found = {}
        for written, value in self.parameters.items():
            if not written.startswith(HANDED_ON):
                continue
            setting = written.removeprefix(HANDED_ON)
            if setting in OURS:
                raise self.wrong(f"{setting} is set by the daemon: what it promises rests on it", f"take {written} out")
            if setting == "partition.assignment.strategy" and "cooperative" in value:
                raise self.wrong(
                    "cooperative assignment loses commits that are made by hand",
                    f"take {written} out, or write {HANDED_ON}group.protocol: consumer where the brokers have it",
                )
            found[setting] = value
        return found


def settings_of(name: str, config: SourceConfig) -> Settings:
    """Read the source. ConfigError for what cannot be meant."""
    login = Login(config)
    login.check()
    tls, user = login.secure, login.user()
    common: dict[str, Any] = {
        "bootstrap.servers": login.servers,
        "client.id": login.given("client_id"),
        "socket.timeout.ms": max(1_000, min(round(login.silence_s * 1000), MOST_SILENCE_MS)),
        "security.protocol": f"{'SASL_' if user else ''}{'SSL' if tls else 'PLAINTEXT'}",
        **({"enable.ssl.certificate.verification": False} if login.encryption == "unverified" else {}),
        **user,
        **{theirs: login.parameters[ours] for ours, theirs in FILES.items() if ours in login.parameters},
        **login.client_s_own(),
    }
    place = f"source {name} ({login.place.rstrip('/')})"
    instance = login.parameters.get("instance_id", "")
    return Settings(place, common, login.number("session_timeout"), instance, "yes" if tls else "no", login.standing)
