"""RabbitMQ, as data."""

from smartico_sync.catalogue.engines.declaration import Engine, Parameter

__all__ = ["RABBITMQ"]

# fmt: off
RABBITMQ = Engine(
    "amqp", "RabbitMQ", "smartico_sync.sources.rabbitmq", "rabbitmq", aliases={"amqps": "tls"}, variants=("tls",), port=5672, tls_port=5671,
    reads="messages",
    parameters=(
        Parameter("ca", "the authority of the broker's certificate, in a file; those of the machine unless given"),
        Parameter("certificate", "our certificate, in a file; without a user in the URL it is the login (SASL EXTERNAL)"),
        Parameter("key_file", "its key, in a file"),
        Parameter("key_password", "the key's password"),
        # A connection that broke without a word is noticed within two of them.
        Parameter("heartbeat", "seconds between two signs of life", "30"),
        # Three requests of a thousand events; each broken connection counts as a delivery of every one of them.
        Parameter("prefetch", "messages that may be on their way at once", "3000"),
        Parameter("delivery_limit", "the limit of the policy of quorum queues, for the warning at half of it; RabbitMQ 4 has `20` of its own"),
        Parameter("management", "the address of the management API (`https://mq1:15672`): `smartico-sync check` asks it what AMQP does not tell"),
        Parameter("client_name", "what the broker shows of our connection", "smartico-sync"),
    ),
)
# fmt: on
