"""PostgreSQL, as data."""

from smartico_sync.catalogue.engines.declaration import CONNECT_TIMEOUT, Engine, Parameter

__all__ = ["POSTGRESQL"]

# fmt: off
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
        CONNECT_TIMEOUT,
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
# fmt: on
