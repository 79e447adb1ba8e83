"""Snowflake, as data."""

from smartico_sync.catalogue.engines.declaration import Engine, Parameter

__all__ = ["SNOWFLAKE"]

# fmt: off
SNOWFLAKE = Engine(
    "snowflake", "Snowflake", "smartico_sync.sources.snowflake", "snowflake", port=443,
    number="CAST({0} AS NUMBER(19)) AS {0}",
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
# fmt: on
