"""A database's URL in a file that people share: no secret is in it."""

from __future__ import annotations

import pytest

from smartico_sync.proposal.secrets import without_secrets

CASES = {
    "postgresql://reader:pa55@replica:5432/casino": ("postgresql://reader:${DB_PASSWORD}@replica:5432/casino", {"DB_PASSWORD": "pa55"}),
    "postgresql://reader:p@ss:w/o?r#d@replica/casino": ("postgresql://reader:${DB_PASSWORD}@replica/casino", {"DB_PASSWORD": "p@ss:w/o?r#d"}),
    "mariadb://reader:${MY_SECRET}@db/casino": ("mariadb://reader:${MY_SECRET}@db/casino", {}),
    "mysql://reader@db/casino?ssl_key_password=x&ssl_ca=/ca.pem": (
        "mysql://reader@db/casino?ssl_key_password=${DB_SSL_KEY_PASSWORD}&ssl_ca=/ca.pem", {"DB_SSL_KEY_PASSWORD": "x"},
    ),
    "mongodb://reader:a@h1:1,h2:2/casino?tlsCertificateKeyFilePassword=x&authSource=admin": (
        "mongodb://reader:${DB_PASSWORD}@h1:1,h2:2/casino?tlsCertificateKeyFilePassword=${DB_TLS_CERTIFICATE_KEY_FILE_PASSWORD}&authSource=admin",
        {"DB_PASSWORD": "a", "DB_TLS_CERTIFICATE_KEY_FILE_PASSWORD": "x"},
    ),
    "snowflake://u@acc/db?private_key_passphrase=x&private_key_passphrase_file=/f&oauth_client_secret=y&token_file=/t": (
        "snowflake://u@acc/db?private_key_passphrase=${DB_PRIVATE_KEY_PASSPHRASE}&private_key_passphrase_file=/f&oauth_client_secret=${DB_OAUTH_CLIENT_SECRET}&token_file=/t",
        {"DB_PRIVATE_KEY_PASSPHRASE": "x", "DB_OAUTH_CLIENT_SECRET": "y"},
    ),
    "redshift://u@h/db?iam=on&access_key_id=AKIA&secret_access_key=x&session_token=y": (
        "redshift://u@h/db?iam=on&access_key_id=AKIA&secret_access_key=${DB_SECRET_ACCESS_KEY}&session_token=${DB_SESSION_TOKEN}",
        {"DB_SECRET_ACCESS_KEY": "x", "DB_SESSION_TOKEN": "y"},
    ),
    "sqlite:////var/lib/replica.db": ("sqlite:////var/lib/replica.db", {}),
    "postgresql://reader@replica/casino": ("postgresql://reader@replica/casino", {}),
}  # fmt: skip


@pytest.mark.parametrize("url", CASES)
def test_each_secret_becomes_a_variable(url):
    """Passwords of every engine, whatever characters they hold; paths, ids and variables stay."""
    assert without_secrets(url) == CASES[url]
