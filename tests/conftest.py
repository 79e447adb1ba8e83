"""What every test may use."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from servers.mariadb import mariadb, mariadb_server, mysql, mysql_server, private_mariadb, replica
from servers.postgresql import postgresql, postgresql_server, private_postgresql, standby
from servers.proxy import Proxy

__all__ = [
    "mariadb", "mariadb_server", "mysql", "mysql_server", "postgresql", "postgresql_server", "private_mariadb",
    "private_postgresql", "proxied", "replica", "standby",
]  # fmt: skip

settings.register_profile(
    "suite", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("suite")


@pytest.fixture
def proxied():
    """Put a misbehaving network in front of a port: `proxy = proxied(port)`."""
    proxies = []

    def between(port: int) -> Proxy:
        proxies.append(Proxy(port))
        return proxies[-1]

    yield between
    for proxy in proxies:
        proxy.close()
