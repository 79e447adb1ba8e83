"""MySQL: a real one where SYNC_TEST_MYSQL_URL names it, else a MariaDB that calls itself MySQL 5.7."""

from __future__ import annotations

from engines.mariadb import MariaDB, bare

__all__ = ["WEIGHT", "MySQL", "bare", "serve"]

WEIGHT = "light"
STAND_IN = "MariaDB under MySQL's version"


class MySQL(MariaDB):
    name = "mysql"


def serve(request):
    engine = MySQL(request.getfixturevalue("mysql"))
    yield engine
    engine.close()
