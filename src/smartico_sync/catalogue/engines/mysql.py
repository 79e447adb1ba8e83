"""MySQL and MariaDB, as data."""

from smartico_sync.catalogue.engines.declaration import CONNECT_TIMEOUT, Engine, Parameter

__all__ = ["MARIADB", "MYSQL"]

# fmt: off
PARAMETERS = (
    Parameter("ssl_mode", "`DISABLED`, `PREFERRED` (TLS where it is offered, unverified), `REQUIRED`, `VERIFY_CA`, `VERIFY_IDENTITY` (the default with `ssl_ca`)", "PREFERRED", ("ssl",)),
    Parameter("ssl_ca", "the authority of the server's certificate"),
    Parameter("ssl_cert", "our certificate"),
    Parameter("ssl_key", "its key"),
    Parameter("ssl_key_password", "the key's password"),
    Parameter("server_public_key", "a file with the server's key, for `caching_sha2_password` without TLS"),
    Parameter("unix_socket", "the path of a Unix socket, instead of a host", others=("socket",)),
    Parameter("bind_address", "the address of ours to connect from"),
    CONNECT_TIMEOUT,
    Parameter("program_name", "what the server's process list shows", "smartico-sync"),
    # SQLAlchemy's users have these.
    Parameter("charset", "always utf8mb4", use="ignored"),
    Parameter("use_unicode", "texts are always decoded", use="ignored"),
)

NUMBER = "CAST({0} AS SIGNED) AS {0}"
MYSQL = Engine("mysql", "MySQL", "smartico_sync.sources.mysql", "mysql", port=3306, parameters=PARAMETERS, number=NUMBER)

MARIADB = Engine("mariadb", "MariaDB", "smartico_sync.sources.mysql", "mysql", port=3306, parameters=PARAMETERS, number=NUMBER)
# fmt: on
