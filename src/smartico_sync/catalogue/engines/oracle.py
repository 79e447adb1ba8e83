"""Oracle, as data."""

from smartico_sync.catalogue.engines.declaration import CONNECT_TIMEOUT, Engine, Parameter

__all__ = ["ORACLE"]

# fmt: off
ORACLE = Engine(
    "oracle", "Oracle", "smartico_sync.sources.oracle", "oracle", port=1521, tls_port=2484,
    ids="on Oracle RAC each node has its own range of ids, so they are not ordered: prefer a timestamp there",
    number="CAST({0} AS NUMBER(19)) AS {0}",
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
        CONNECT_TIMEOUT,
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
# fmt: on
