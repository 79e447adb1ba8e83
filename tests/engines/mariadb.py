"""MariaDB, the real thing."""

from __future__ import annotations

from engines.engine import Engine

WEIGHT = "light"
STAND_IN = ""


class MariaDB(Engine):
    name = "mariadb"
    types = {
        "integer": "BIGINT",
        "timestamp": "DATETIME(6)",
        "instant": "TIMESTAMP(6) NULL",
        "decimal": "DECIMAL(38,10)",
        "float": "DOUBLE",
        "boolean": "BOOLEAN",
        "date": "DATE",
    }

    def __init__(self, database):
        super().__init__(database.url)
        self.database = database
        self.execute = database.execute
        # Texts compare by their characters alone: in a `_ci` collation `apple` and `Apple` would be one key.
        names = {row[0] for row in self.execute("SHOW COLLATION LIKE 'utf8mb4%'")}
        collation = "utf8mb4_nopad_bin" if "utf8mb4_nopad_bin" in names else "utf8mb4_0900_bin"
        self.types = {**self.types, "text": f"LONGTEXT CHARACTER SET utf8mb4 COLLATE {collation}"}

    def literal(self, value):
        text = super().literal(value)
        return text.removesuffix("+00'") + "'" if text.endswith("+00'") else text

    def schema(self, name):
        """A schema is a database here: made beside the test's own, which is dropped with everything in it."""
        return self.url.rpartition("/")[2]


def bare(url: str, query: str) -> int:
    """Rows of a query by the driver's only path."""
    import pymysql

    from smartico_sync.sources.kit.url import parse
    from smartico_sync.sources.mysql.login import Login

    login = Login(parse(url), 60.0)
    host, port = login.hosts()[0]
    arguments = {**login.arguments(), "use_unicode": True}
    with pymysql.connect(host=host, port=port, **arguments) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return len(cursor.fetchall())


def serve(request):
    engine = MariaDB(request.getfixturevalue("mariadb"))
    yield engine
    engine.close()
