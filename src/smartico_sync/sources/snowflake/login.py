"""How to connect, from a URL as operators write it."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.login import BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption

__all__ = ["Login"]

CONNECT_TIMEOUT_S = 10  # a server that is there answers sooner, over any distance
FAREWELL_S = 2  # saying goodbye is a courtesy
DOMAIN = ".snowflakecomputing.com"
# The driver's own names, which are handed on as they are.
DRIVERS = (
    "host", "port", "protocol", "warehouse", "role", "secondary_roles", "authenticator", "private_key_file",
    "workload_identity_provider", "oauth_client_id", "oauth_client_secret", "oauth_token_request_url", "oauth_scope",
    "proxy_host", "proxy_port", "proxy_user", "proxy_password", "no_proxy", "crl_check_mode", "login_timeout",
)  # fmt: skip
NUMBERS = ("port", "proxy_port", "login_timeout")
# Ours: the driver has no name for it, another one, or wants its content.
OURS = {"ca_file": "custom_root_store_path", "token_file": "token_file_path"}
PASSPHRASES = ("private_key_passphrase", "private_key_passphrase_file")


class Login(BaseLogin):
    """The account, and what the driver is told."""

    files = ("private_key_file", "private_key_passphrase_file", "token_file", "ca_file")

    levels: ClassVar[tuple[Encryption, ...]] = ("verified", "off")
    usual: ClassVar[Encryption] = "verified"

    def written(self) -> Encryption:
        """HTTPS, unless `protocol` says otherwise."""
        return "off" if self.parameters.get("protocol", "https").lower() == "http" else "verified"

    def machines(self) -> tuple[str, ...]:
        """An endpoint of the operator's own, or the service's."""
        return (self.parameters.get("host", "snowflakecomputing.com"),)

    def arguments(self) -> dict[str, Any]:
        """What the driver is told; files are read anew each time, so that a secret may be changed."""
        parameters = self.parameters
        account, port = self.url.hosts[0] if self.url.hosts else ("", "")
        if not account:
            hint = "snowflake://user@account/database/schema?warehouse=W"
            raise ConfigError(f"{self.url.scheme}:// names no account", hint=hint)
        database, _, schema = self.url.path.partition("/")
        known = {name: parameters[name] for name in DRIVERS if name in parameters}
        known |= {theirs: parameters[ours] for ours, theirs in OURS.items() if ours in parameters}
        secrets = {"password": self.url.password, "private_key_password": self._passphrase(parameters)}
        silence_s = ceil(self.silence_s)
        return {
            "account": account.removesuffix(DOMAIN),
            "user": self.url.user,
            **({"database": database} if database else {}),
            **({"schema": schema} if schema else {}),
            **({"port": port} if port else {}),
            **{name: value for name, value in secrets.items() if value},
            **({"authenticator": way} if (way := _authenticator(parameters)) else {}),
            "application": "smartico_sync",
            "auto_cleanup": False,  # who opens a session here closes it
            "paramstyle": "pyformat",
            "interpolate_empty_sequences": True,  # a doubled percent sign is one, parameters or none
            "arrow_number_to_decimal": True,  # else NUMBER(38,2) would become a float
            "force_microsecond_precision": True,  # else the year 2300 would not fit
            "connect_timeout": CONNECT_TIMEOUT_S,
            "login_timeout": self.number("login_timeout"),
            "query_timeout": silence_s,
            "request_timeout": CONNECT_TIMEOUT_S,
            "retry_timeout": silence_s,
            "retry_max_attempts": 2,
            "logout_total_timeout_seconds": FAREWELL_S,
            "logout_max_attempts": 1,
            "enable_server_session_keep_alive_auto_detection": False,
            "session_parameters": self._session(self.given("query_tag")),
            **known,
            **{name: self.number(name) for name in NUMBERS if name in known},
        }

    def check(self) -> None:
        """Tell what the driver cannot use, before the first poll."""
        self.arguments()
        super().check()

    def _passphrase(self, parameters: dict[str, str]) -> str:
        literal, file = PASSPHRASES
        if file in parameters:
            return self.content(file).decode(errors="replace").rstrip("\r\n")
        return parameters.get(literal, "")

    def _session(self, query_tag: str) -> dict[str, str]:
        """Whatever the account's defaults are: what values look like, and how long a statement may run or wait."""
        seconds = str(ceil(self.timeout_ms / 1000))
        return {
            "TIMEZONE": "UTC",
            "STATEMENT_TIMEOUT_IN_SECONDS": seconds,
            "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": seconds,
            "ABORT_DETACHED_QUERY": "true",
            "QUERY_TAG": query_tag,
            "AUTOCOMMIT": "true",
            "MULTI_STATEMENT_COUNT": "1",
            "USE_CACHED_RESULT": "true",
            "ROWS_PER_RESULTSET": "0",  # else every answer is cut to so many, in silence
            "QUOTED_IDENTIFIERS_IGNORE_CASE": "false",
            "TIMESTAMP_INPUT_FORMAT": "AUTO",
            "DATE_INPUT_FORMAT": "AUTO",
            "TIME_INPUT_FORMAT": "AUTO",
            "TIME_OUTPUT_FORMAT": "HH24:MI:SS.FF9",
            "JSON_INDENT": "0",
            "GEOGRAPHY_OUTPUT_FORMAT": "GeoJSON",
            "GEOMETRY_OUTPUT_FORMAT": "GeoJSON",
            "CLIENT_TELEMETRY_ENABLED": "false",
        }


def _authenticator(parameters: dict[str, str]) -> str:
    """The way to log in that the given secrets ask for; an `authenticator` of the operator's own comes later, and wins."""
    if "private_key_file" in parameters:
        return "SNOWFLAKE_JWT"
    return "PROGRAMMATIC_ACCESS_TOKEN" if "token_file" in parameters else ""
