"""Kafka, as data."""

from smartico_sync.catalogue.engines.declaration import Engine, Parameter

__all__ = ["KAFKA"]

# fmt: off
KAFKA = Engine(
    "kafka", "Kafka", "smartico_sync.sources.kafka", "kafka", aliases={"kafkas": "tls"}, variants=("tls",), port=9092,
    abilities=frozenset({"replay"}), reads="messages", handed_on="librdkafka.",
    parameters=(
        Parameter("sasl", "how user and password are shown: `plain`, `scram-sha-256`, `scram-sha-512`; `oidc` needs `librdkafka.sasl.oauthbearer.*`; `msk-iam` is signed with the machine's own credentials of AWS", "scram-sha-512"),
        Parameter("region", "the AWS region of `msk-iam`, where the brokers' names do not tell it"),
        Parameter("ca", "the authority of the brokers' certificates, in a file; those of the machine unless given"),
        Parameter("certificate", "our certificate, in a file"),
        Parameter("key_file", "its key, in a file"),
        Parameter("key_password", "the key's password"),
        Parameter("client_id", "what the brokers' logs show", "smartico-sync"),
        Parameter("instance_id", "the name of this member of the group, which it keeps over a restart; made of the state's identity unless given, `none` for none"),
        # Shorter than the broker's default: a daemon that is gone for good holds up the others no longer than that.
        Parameter("session_timeout", "milliseconds until a silent member is replaced", "30000"),
    ),
    beyond="a setting of the client itself is written with its prefix: `librdkafka.NAME`",
)
# fmt: on
