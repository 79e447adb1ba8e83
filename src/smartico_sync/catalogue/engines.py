"""Every database and broker the daemon reads, as data without drivers: what its URL may hold, and what it can do.

Configuration, registry, late-commit choice, each engine's login and the manual read these declarations; nothing else names
an engine. Parameters stand in the URL after `?` or in the `options:` of a source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BIGQUERY", "BROKERS", "CLICKHOUSE", "EMBEDDED", "ENGINES", "KAFKA", "MARIADB", "MONGODB", "MSSQL", "MYSQL", "ORACLE", "POSTGRESQL",
    "RABBITMQ", "REDSHIFT", "SNOWFLAKE", "SQLITE", "Ability", "Engine", "Parameter", "QueryForm", "Reads", "canonical", "find",
]  # fmt: skip

Ability = Literal[
    "fence",  # snapshots tell which transactions they do not see, on servers where `ServerFacts.fence` is empty
    "replay",  # a broker whose messages can be read again
]
Reads = Literal[
    "views",  # a database: rows are asked for
    "messages",  # a broker: messages come
]
QueryForm = Literal[
    "select",  # one SELECT, which can be put in brackets
    "aggregate",  # an aggregate command in extended JSON: a collection and its pipeline
]
Use = Literal[
    "applied",
    "ignored",  # other clients need it; here it would change nothing, or what must not change
]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name, its meaning as a phrase in Markdown, and its default as it would be written (or empty).

    `others` are names that mean the same. Small and capital letters, `_`, `-` and blanks make no difference to any of them.
    """

    name: str
    meaning: str
    default: str = ""
    others: tuple[str, ...] = ()
    use: Use = "applied"


@dataclass(frozen=True, slots=True)
class Engine:
    """One database or broker. The module has `connect(name: str, config: SourceConfig)`, which opens no connection yet.

    It gives a Source, or where it `reads` messages a Stream. `extra` installs its driver (`pip install 'smartico-sync[extra]'`; empty: built in). `aliases` are other names of the
    scheme, each with the variant it means (or empty); `variants` are what may stand behind `+` and has a meaning, which the
    engine itself reads; any other is a driver's name and is dropped. `port` and `tls_port` are the ports of a host that names
    none; 0 where what stands in the host's place has no port. `ids`: why integer ids may not be in order, and what to prefer;
    empty: they are. `beyond`: what to do about a setting that is no parameter. `handed_on`: parameters whose names begin so are the
    client's own, and are given to it as they are.
    """

    scheme: str
    title: str
    module: str
    extra: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    port: int = 0
    tls_port: int = 0
    query: QueryForm = "select"
    abilities: frozenset[Ability] = frozenset()
    ids: str = ""
    parameters: tuple[Parameter, ...] = ()
    beyond: str = ""
    reads: Reads = "views"
    handed_on: str = ""

    def parameter(self, written: str) -> Parameter | None:
        """The parameter that is meant by a name as written; None for an unknown one."""
        if self.handed_on and written.startswith(self.handed_on) and written != self.handed_on:
            return Parameter(written, "a setting of the client")
        plain = _plain(written)
        return next((each for each in self.parameters if plain in map(_plain, (each.name, *each.others))), None)

    @property
    def defaults(self) -> dict[str, str]:
        """The defaults of parameters that have one."""
        return {each.name: each.default for each in self.parameters if each.default}


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


# fmt: off
# A server that is there answers sooner, over any distance.
_CONNECT_TIMEOUT = Parameter("connect_timeout", "seconds until the next host is tried", "10")

POSTGRESQL = Engine(
    "postgresql", "PostgreSQL", "smartico_sync.sources.postgresql", "postgresql", aliases={"postgres": "", "pgsql": ""}, port=5432,
    abilities=frozenset({"fence"}),
    parameters=(
        Parameter("sslmode", "TLS: `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`"),
        Parameter("sslrootcert", "the authority of the server's certificate; `system` for those of the machine"),
        Parameter("sslcert", "our certificate"),
        Parameter("sslkey", "its key"),
        Parameter("sslpassword", "the key's password"),
        Parameter("sslcertmode", "whether our certificate is sent: `allow`, `disable`, `require`"),
        Parameter("sslcrl", "revoked certificates, in a file"),
        Parameter("sslcrldir", "revoked certificates, in a directory"),
        Parameter("sslsni", "whether TLS tells the host's name: `0` or `1`"),
        Parameter("sslnegotiation", "`direct`: TLS without asking first (PostgreSQL 17)"),
        Parameter("sslcompression", "TLS compression: `0` or `1`"),
        Parameter("ssl_min_protocol_version", "the oldest TLS: `TLSv1.2`"),
        Parameter("ssl_max_protocol_version", "the newest TLS"),
        Parameter("sslkeylogfile", "a file for the keys of the TLS session, to look into it with Wireshark"),
        Parameter("target_session_attrs", "which of several hosts: `any`, `standby`, `prefer-standby`, `primary` …"),
        Parameter("load_balance_hosts", "`random`: several hosts in any order"),
        Parameter("application_name", "what `pg_stat_activity` shows", "smartico-sync"),
        Parameter("fallback_application_name", "the same, should there be none"),
        Parameter("options", "settings of the session: `-c geqo=off`"),
        _CONNECT_TIMEOUT,
        Parameter("tcp_user_timeout", "milliseconds without an acknowledgement until the network counts as broken; `statement_timeout` and two seconds unless given"),
        Parameter("keepalives", "whether TCP asks a silent peer: `0` or `1`"),
        # Firewalls forget silent connections after minutes.
        Parameter("keepalives_idle", "seconds of silence before it asks", "30"),
        Parameter("keepalives_interval", "seconds between its questions", "10"),
        Parameter("keepalives_count", "unanswered questions until the connection counts as broken", "3"),
        Parameter("host", "the directory of a Unix socket: `postgresql://reader@/casino?host=/var/run/postgresql`"),
        Parameter("hostaddr", "the host's address, where its name shall not be looked up"),
        Parameter("port", "the port, where the URL's place does not tell it"),
        Parameter("user", "the user, where the URL's place does not tell them"),
        Parameter("password", "their password"),
        Parameter("dbname", "the database, where the URL's place does not tell it"),
        Parameter("passfile", "a file with passwords, as `~/.pgpass`"),
        Parameter("service", "a section of `pg_service.conf`"),
        Parameter("channel_binding", "`require`: no password without channel binding"),
        Parameter("require_auth", "the ways to log in that are acceptable: `scram-sha-256` …"),
        Parameter("requirepeer", "the operating system's user behind a Unix socket"),
        Parameter("gssencmode", "encryption by GSSAPI: `disable`, `prefer`, `require`"),
        Parameter("krbsrvname", "the service's name for Kerberos"),
        Parameter("gsslib", "the GSS library"),
        Parameter("gssdelegation", "whether credentials are passed on: `0` or `1`"),
        Parameter("min_protocol_version", "the oldest protocol of PostgreSQL"),
        Parameter("max_protocol_version", "the newest"),
        Parameter("scram_client_key", "a SCRAM key instead of the password"),
        Parameter("scram_server_key", "its counterpart"),
        Parameter("oauth_issuer", "OAuth (PostgreSQL 18): the issuer"),
        Parameter("oauth_client_id", "OAuth: our id"),
        Parameter("oauth_client_secret", "OAuth: our secret"),
        Parameter("oauth_scope", "OAuth: the scope"),
        Parameter("client_encoding", "always UTF-8", use="ignored"),
    ),
)

_MYSQL_PARAMETERS = (
    Parameter("ssl_mode", "`DISABLED`, `PREFERRED` (TLS where it is offered, unverified), `REQUIRED`, `VERIFY_CA`, `VERIFY_IDENTITY` (the default with `ssl_ca`)", "PREFERRED", ("ssl",)),
    Parameter("ssl_ca", "the authority of the server's certificate"),
    Parameter("ssl_cert", "our certificate"),
    Parameter("ssl_key", "its key"),
    Parameter("ssl_key_password", "the key's password"),
    Parameter("server_public_key", "a file with the server's key, for `caching_sha2_password` without TLS"),
    Parameter("unix_socket", "the path of a Unix socket, instead of a host", others=("socket",)),
    Parameter("bind_address", "the address of ours to connect from"),
    _CONNECT_TIMEOUT,
    Parameter("program_name", "what the server's process list shows", "smartico-sync"),
    # SQLAlchemy's users have these.
    Parameter("charset", "always utf8mb4", use="ignored"),
    Parameter("use_unicode", "texts are always decoded", use="ignored"),
)

MYSQL = Engine("mysql", "MySQL", "smartico_sync.sources.mysql", "mysql", port=3306, parameters=_MYSQL_PARAMETERS)

MARIADB = Engine("mariadb", "MariaDB", "smartico_sync.sources.mysql", "mysql", port=3306, parameters=_MYSQL_PARAMETERS)

MSSQL = Engine(
    "mssql", "SQL Server", "smartico_sync.sources.mssql", "mssql", aliases={"sqlserver": ""}, port=1433,
    parameters=(
        Parameter("encrypt", "`yes`, `no`, `strict` (TDS 8: TLS before anything else)", "yes"),
        Parameter("trust_server_certificate", "`yes` lets any certificate pass", "no"),
        Parameter("hostname_in_certificate", "the name the certificate has, where it is not the host's"),
        Parameter("server_certificate", "path of the server's certificate, to be matched exactly; with `encrypt=strict`"),
        Parameter("application_intent", "`readonly`, `readwrite`", "readonly"),
        Parameter("multi_subnet_failover", "`yes` for a listener in several subnets"),
        Parameter("authentication", "Entra ID, as Microsoft's driver has it"),
        Parameter("trusted_connection", "`yes`: Kerberos"),
        Parameter("server_spn", "the server's principal name for Kerberos"),
        Parameter("app", "what `sys.dm_exec_sessions` calls us", "smartico-sync", ("application_name",)),
        _CONNECT_TIMEOUT,
        Parameter("packet_size", "bytes; the driver's unless given"),
        Parameter("driver", "name or path of the ODBC driver; see above"),
        Parameter("tds_version", "FreeTDS only", "7.4"),
        Parameter("charset", "always UTF-8", use="ignored"),
    ),
)

ORACLE = Engine(
    "oracle", "Oracle", "smartico_sync.sources.oracle", "oracle", port=1521, tls_port=2484,
    ids="on Oracle RAC each node has its own range of ids, so they are not ordered: prefer a timestamp there",
    parameters=(
        Parameter("service_name", "the service, where the URL's path does not tell it"),
        Parameter("sid", "the SID of a database without a service"),
        Parameter("instance_name", "one instance of the service"),
        Parameter("server_type", "`dedicated`, `shared`, `pooled` (DRCP)"),
        Parameter("cclass", "the connection class of DRCP"),
        Parameter("dsn", "a descriptor, an Easy Connect string or a name of `tnsnames.ora`; then host and service of the URL are not used"),
        Parameter("config_dir", "where `tnsnames.ora` is"),
        Parameter("protocol", "`tcp` or `tcps` (TLS); `wallet_location`, `ssl_ca`, `ssl_cert` and `ssl_server_cert_dn` imply TLS", "tcp"),
        Parameter("wallet_location", "a directory with `ewallet.pem`: the authority's certificate, and ours if the listener wants one"),
        Parameter("wallet_password", "its password"),
        Parameter("ssl_ca", "the authority of the server's certificate, in PEM"),
        Parameter("ssl_cert", "our certificate"),
        Parameter("ssl_key", "its key"),
        Parameter("ssl_key_password", "the key's password"),
        Parameter("ssl_server_cert_dn", "the name in the server's certificate, if it is not the host's"),
        Parameter("ssl_server_dn_match", "`off`: no look at that name", "on"),
        _CONNECT_TIMEOUT,
        # Firewalls forget silent connections after minutes.
        Parameter("expire_time", "minutes of silence before TCP asks whether the peer is there", "1"),
        Parameter("sdu", "bytes of a packet of Oracle Net"),
        Parameter("disable_oob", "`on`: no out-of-band breaks, for networks that swallow them"),
        Parameter("https_proxy", "a proxy for TLS"),
        Parameter("https_proxy_port", "its port"),
        Parameter("proxy_user", "the user whose rights the session has"),
        Parameter("edition", "the edition of the session"),
        Parameter("program", "what `V$SESSION` shows", "smartico-sync"),
    ),
)

CLICKHOUSE = Engine(
    "clickhouse", "ClickHouse", "smartico_sync.sources.clickhouse", "clickhouse", aliases={"clickhousedb": "", "clickhouses": "https"},
    variants=("https",), port=8123, tls_port=8443, beyond="other settings belong into the user's settings profile",
    parameters=(
        Parameter("secure", "TLS; `true` with `clickhouses://`, on ports 8443 and 443, and for ClickHouse Cloud unless given"),
        Parameter("verify", "whether the server's certificate is checked", "true"),
        Parameter("ca_file", "the authority of the server's certificate, if it is none of the usual ones", others=("ca_cert",)),
        Parameter("client_cert", "our certificate; without a password it is the login (`IDENTIFIED WITH ssl_certificate CN 'smartico_reader'`)"),
        Parameter("client_key", "its key", others=("client_cert_key",)),
        Parameter("server_host_name", "the name in the server's certificate, where it is not the host's"),
        Parameter("access_token_file", "a token of ClickHouse Cloud instead of user and password"),
        Parameter("proxy_path", "the path below which a proxy serves ClickHouse"),
        Parameter("http_proxy", "a proxy; the usual environment variables work too"),
        Parameter("https_proxy", "a proxy for TLS"),
        _CONNECT_TIMEOUT,
        Parameter("role", "one of the user's roles"),
        Parameter("final", "`1`: the last version only of rows in a ReplacingMergeTree"),
        Parameter("join_use_nulls", "how views are computed: what a LEFT JOIN did not find is NULL"),
        Parameter("session_timezone", "the zone in which views are computed"),
        Parameter("select_sequential_consistency", "a read waits until the replica has everything; set by itself on ClickHouse Cloud"),
        Parameter("max_replica_delay_for_distributed_queries", "seconds a replica may be behind that a Distributed table asks"),
        Parameter("fallback_to_stale_replicas_for_distributed_queries", "whether it asks one further behind when there is no other"),
        Parameter("max_threads", "threads of a query"),
        Parameter("max_memory_usage", "bytes of a query"),
        Parameter("priority", "of a query; 1 is the highest"),
        Parameter("workload", "the workload that queries count to"),
        Parameter("log_comment", "what `system.query_log` shows", "smartico-sync"),
    ),
)

SNOWFLAKE = Engine(
    "snowflake", "Snowflake", "smartico_sync.sources.snowflake", "snowflake", port=443,
    parameters=(
        Parameter("warehouse", "the warehouse; the user's default unless given"),
        Parameter("role", "the role; the user's default unless given"),
        Parameter("secondary_roles", "`ALL`, `NONE` or names"),
        Parameter("private_key_file", "a key pair's private key, PKCS#8 in PEM"),
        Parameter("private_key_passphrase_file", "a file with its passphrase"),
        Parameter("private_key_passphrase", "the passphrase itself"),
        Parameter("token_file", "a programmatic access token, or with `authenticator=oauth` an OAuth token"),
        Parameter("authenticator", "other ways to log in, as the driver has them"),
        Parameter("workload_identity_provider", "`AWS`, `AZURE`, `GCP` or `OIDC`, with `authenticator=WORKLOAD_IDENTITY`"),
        Parameter("oauth_client_id", "OAuth: our id"),
        Parameter("oauth_client_secret", "OAuth: our secret"),
        Parameter("oauth_token_request_url", "OAuth: where tokens come from"),
        Parameter("oauth_scope", "OAuth: the scope"),
        Parameter("query_tag", "what `QUERY_HISTORY` shows", "smartico-sync"),
        Parameter("host", "an endpoint of your own"),
        Parameter("port", "its port"),
        Parameter("protocol", "`http` or `https`"),
        Parameter("proxy_host", "a proxy; the usual environment variables work too"),
        Parameter("proxy_port", "its port"),
        Parameter("proxy_user", "our name there"),
        Parameter("proxy_password", "our password there"),
        Parameter("no_proxy", "hosts that are reached without it"),
        Parameter("ca_file", "the authority of a proxy that opens TLS"),
        Parameter("crl_check_mode", "whether certificates are looked up among the revoked: `DISABLED`, `ADVISORY`, `ENABLED`"),
        # The login itself may have to wake something up.
        Parameter("login_timeout", "seconds", "30"),
    ),
)

BIGQUERY = Engine(
    "bigquery", "BigQuery", "smartico_sync.sources.bigquery", "bigquery",
    parameters=(
        Parameter("credentials_file", "the JSON key of a service account; read anew for each connection", others=("credentials_path",)),
        Parameter("location", "where jobs run (`EU`, `europe-west1` …); BigQuery finds it by itself when the dataset is named"),
        # A dollar is about 160 of these. A query that would read more fails and costs nothing; see the manual before raising it.
        Parameter("maximum_bytes_billed", "the most one query may be billed for, or `off`", "1GB"),
        Parameter("storage_api", "`auto`: pages of more than a thousand rows come through the Storage API where it is allowed. `never`: always as JSON", "auto"),
        Parameter("quota_project", "the project whose quota is used, when it is another one"),
        Parameter("host", "an endpoint of your own (Private Service Connect)"),
        Parameter("port", "its port", "443"),
        Parameter("storage_port", "the port of its Storage API", "443"),
        Parameter("protocol", "`http`, an emulator's: no credentials are sent", "https"),
    ),
)

MONGODB = Engine(
    "mongodb", "MongoDB", "smartico_sync.sources.mongodb", "mongodb", aliases={"mongo": ""}, variants=("srv",), port=27017,
    query="aggregate", ids="ids made by clients are not ordered: prefer (timestamp, _id)",
    parameters=(
        Parameter("replicaSet", "the set's name; with it the driver finds all members and follows elections"),
        Parameter("readPreference", "who is read. `secondary` never burdens the primary", "secondaryPreferred"),
        Parameter("readPreferenceTags", "tags of a member kept for this"),
        # The driver takes 90 at least.
        Parameter("maxStalenessSeconds", "a secondary further behind is not asked; at least 90", "120"),
        Parameter("localThresholdMS", "members at most that much slower than the fastest are asked"),
        Parameter("authSource", "the database where the user was made"),
        Parameter("authMechanism", "how to log in: SCRAM (unless given), `MONGODB-X509`, `MONGODB-AWS`, `PLAIN` …"),
        Parameter("authMechanismProperties", "what that way needs"),
        Parameter("tls", "TLS; on for `mongodb+srv` unless given", others=("ssl",)),
        Parameter("tlsCAFile", "the authority of the server's certificate"),
        Parameter("tlsCertificateKeyFile", "our certificate and its key"),
        Parameter("tlsCertificateKeyFilePassword", "the key's password"),
        Parameter("tlsCRLFile", "revoked certificates"),
        Parameter("tlsDisableOCSPEndpointCheck", "`true`: no question whether a certificate was revoked"),
        Parameter("tlsAllowInvalidHostnames", "gives up what TLS is for; for a test"),
        Parameter("tlsAllowInvalidCertificates", "likewise"),
        Parameter("directConnection", "`true`: only the host that is named, whatever its role"),
        Parameter("loadBalanced", "as the driver's manual says"),
        Parameter("srvServiceName", "likewise"),
        Parameter("srvMaxHosts", "likewise"),
        Parameter("connectTimeoutMS", "patience with one member; `statement_timeout` and two seconds unless given"),
        Parameter("serverSelectionTimeoutMS", "patience with all; likewise"),
        Parameter("heartbeatFrequencyMS", "pause between two looks at the members"),
        Parameter("maxIdleTimeMS", "how long an unused connection is kept"),
        Parameter("retryReads", "a read that ends with its connection, or in an election, is repeated once by the driver; `true` unless given"),
        Parameter("compressors", "for a slow network: `compressors=zlib` needs nothing more"),
        Parameter("zlibCompressionLevel", "from 1 to 9"),
        Parameter("appName", "the name in the server's log and in `db.currentOp()`", "smartico-sync"),
        Parameter("sample", "how many documents columns and types are learnt from", "1000"),
        # Atlas hands out URLs with these.
        Parameter("w", "says how to write; nothing is written", use="ignored"),
        Parameter("wTimeoutMS", "likewise", use="ignored"),
        Parameter("journal", "likewise", use="ignored"),
        Parameter("retryWrites", "likewise", use="ignored"),
    ),
)

REDSHIFT = Engine(
    "redshift", "Redshift", "smartico_sync.sources.redshift", "redshift", port=5439,
    parameters=(
        Parameter("sslmode", "`verify-full`, or `verify-ca`, which does not look at the name", "verify-full"),
        Parameter("ssl", "`off`: no TLS, for a tunnel that encrypts", "on"),
        Parameter("iam", "`on`: log in with what AWS knows of us"),
        Parameter("cluster_identifier", "IAM: the cluster, by which AWS knows its host"),
        Parameter("is_serverless", "IAM: `on` for a workgroup"),
        Parameter("serverless_work_group", "IAM: its name"),
        Parameter("serverless_acct_id", "IAM: its account"),
        Parameter("region", "IAM: where it is"),
        Parameter("endpoint_url", "IAM: an endpoint of your own"),
        Parameter("db_user", "IAM: the user to be"),
        Parameter("db_groups", "IAM: groups to be in, separated by commas"),
        Parameter("auto_create", "IAM: `on` makes the user"),
        Parameter("force_lowercase", "IAM: `on` writes user and groups in small letters"),
        Parameter("allow_db_user_override", "IAM: `on` lets the identity provider name the user"),
        Parameter("group_federation", "IAM: `on` takes groups from the identity provider"),
        Parameter("profile", "IAM: a profile of `~/.aws`"),
        Parameter("auth_profile", "IAM: an authentication profile kept by Redshift"),
        Parameter("access_key_id", "IAM: a key"),
        Parameter("secret_access_key", "IAM: its secret"),
        Parameter("session_token", "IAM: its token"),
        Parameter("role_arn", "IAM: the role to take"),
        Parameter("role_session_name", "IAM: what that session is called"),
        Parameter("web_identity_token", "IAM: a token for that role"),
        Parameter("iam_disable_cache", "IAM: `on` fetches credentials each time"),
        Parameter("credentials_provider", "an identity provider, as the driver has them; the parameters below are theirs"),
        Parameter("provider_name", "identity provider: its name"),
        Parameter("idp_host", "identity provider: its host"),
        Parameter("idp_tenant", "identity provider: the tenant"),
        Parameter("idp_partition", "identity provider: the partition of Azure"),
        Parameter("idp_response_timeout", "identity provider: seconds"),
        Parameter("listen_port", "identity provider: the port its answer comes to"),
        Parameter("login_url", "identity provider: the login's address"),
        Parameter("login_to_rp", "identity provider: the relying party"),
        Parameter("app_id", "identity provider: the application's id"),
        Parameter("app_name", "identity provider: the application's name"),
        Parameter("preferred_role", "identity provider: the role, of several"),
        Parameter("principal_arn", "identity provider: its ARN"),
        Parameter("partner_sp_id", "identity provider: the partner's id"),
        Parameter("client_id", "identity provider: our id"),
        Parameter("client_secret", "identity provider: our secret"),
        Parameter("scope", "identity provider: the scope"),
        Parameter("issuer_url", "identity provider: the issuer"),
        Parameter("identity_namespace", "identity provider: the namespace"),
        Parameter("idc_region", "IAM Identity Center: the region"),
        Parameter("idc_client_display_name", "IAM Identity Center: what we are called there"),
        Parameter("token", "identity provider: a token"),
        Parameter("token_type", "identity provider: its type"),
        Parameter("ssl_insecure", "identity provider: `on` takes any certificate of its host"),
        _CONNECT_TIMEOUT,
        # Firewalls forget silent connections after minutes.
        Parameter("tcp_keepalive_idle", "seconds of silence before TCP asks", "30"),
        Parameter("tcp_keepalive_interval", "seconds between its questions", "10"),
        Parameter("tcp_keepalive_count", "unanswered questions until the connection counts as broken", "3"),
        Parameter("source_address", "the address of ours to connect from"),
        Parameter("application_name", "what `STL_CONNECTION_LOG` shows", "smartico-sync"),
        Parameter("database_metadata_current_db_only", "`off`: the driver may look into other databases"),
        Parameter("query_group", "the query group of the session, which WLM chooses a queue by"),
        Parameter("case_sensitive", "`on`: names keep their capital letters"),
    ),
)

SQLITE = Engine("sqlite", "SQLite", "smartico_sync.sources.sqlite", aliases={"sqlite3": ""})

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
        Parameter("prefetch", "messages that may be on their way at once", "10000"),
        Parameter("delivery_limit", "the limit of the policy of quorum queues, for the warning at half of it; RabbitMQ 4 has `20` of its own"),
        Parameter("management", "the address of the management API (`https://mq1:15672`): `smartico-sync check` asks it what AMQP does not tell"),
        Parameter("client_name", "what the broker shows of our connection", "smartico-sync"),
    ),
)
# fmt: on

EMBEDDED = SQLITE  # a file, without a server or a driver: what the demo's replica is
ENGINES: Mapping[str, Engine] = {
    engine.scheme: engine
    for engine in (
        POSTGRESQL, MYSQL, MARIADB, MSSQL, ORACLE, CLICKHOUSE, SNOWFLAKE, BIGQUERY, MONGODB, REDSHIFT, SQLITE,
    )
}  # fmt: skip
BROKERS: Mapping[str, Engine] = {engine.scheme: engine for engine in (KAFKA, RABBITMQ)}
_NAMES = {
    name: (engine, variant)
    for engine in (*ENGINES.values(), *BROKERS.values())
    for name, variant in {engine.scheme: "", **engine.aliases}.items()
}


def canonical(written: str) -> str:
    """The scheme by which the engine itself knows what people write as `dialect+driver`; empty for an unknown one.

    `Postgres` and `postgresql+psycopg` are `postgresql`; a variant with a meaning of its own stays: `mongodb+srv`.
    """
    name, _, driver = written.lower().partition("+")
    if name not in _NAMES:
        return ""
    engine, variant = _NAMES[name]
    variant = driver if driver in engine.variants else variant
    return f"{engine.scheme}+{variant}" if variant else engine.scheme


def find(written: str) -> Engine | None:
    """The engine of a scheme as written; None for an unknown one."""
    scheme = canonical(written).partition("+")[0]
    return ENGINES.get(scheme) or BROKERS.get(scheme)
