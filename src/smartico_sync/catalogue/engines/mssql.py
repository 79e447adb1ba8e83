"""SQL Server, as data."""

from smartico_sync.catalogue.engines.declaration import CONNECT_TIMEOUT, Engine, Parameter

__all__ = ["MSSQL"]

# fmt: off
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
        CONNECT_TIMEOUT,
        Parameter("packet_size", "bytes; the driver's unless given"),
        Parameter("driver", "name or path of the ODBC driver; see above"),
        Parameter("tds_version", "FreeTDS only", "7.4"),
        Parameter("charset", "always UTF-8", use="ignored"),
    ),
)
# fmt: on
