"""ClickHouse, as data."""

from smartico_sync.catalogue.engines.declaration import CONNECT_TIMEOUT, Engine, Parameter

__all__ = ["CLICKHOUSE"]

# fmt: off
CLICKHOUSE = Engine(
    "clickhouse", "ClickHouse", "smartico_sync.sources.clickhouse", "clickhouse", aliases={"clickhousedb": "", "clickhouses": "https"},
    variants=("https",), port=8123, tls_port=8443, beyond="other settings belong into the user's settings profile",
    number="toInt64({0}) AS {0}",
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
        CONNECT_TIMEOUT,
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
# fmt: on
