"""MariaDB, MySQL 5.6, and a MariaDB under MySQL's version."""

from __future__ import annotations

import pytest

import engines
from servers.mariadb import PASSWORD


@pytest.fixture
def on_mysql56(request):
    yield from engines.serve("mysql56", request)


@pytest.fixture(params=["mariadb", "mysql", "mysql56"])
def engine(request):
    yield from engines.serve(request.param, request)


@pytest.fixture(params=["mariadb", "mysql56"])
def real_engine(request):
    """No server under another's version."""
    yield from engines.serve(request.param, request)


@pytest.fixture
def on_mariadb(request):
    yield from engines.serve("mariadb", request)


@pytest.fixture
def stranger(real_engine):
    """Make a user with just these rights; its URL."""
    server, name = real_engine.database.server, real_engine.database.name
    user = f"s_{name[2:10]}"
    server.admin(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")

    def grant(*rights):
        for right in rights:
            server.admin(f"GRANT {right} TO {user}@'127.0.0.1'", database=name)
        return server.url(name, user=user)

    yield grant
    server.admin(f"DROP USER {user}@'127.0.0.1'")
