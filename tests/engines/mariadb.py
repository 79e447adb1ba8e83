"""MariaDB, the real thing."""

from __future__ import annotations

from engines.engine import Engine

WEIGHT = "light"
STAND_IN = ""
ASLEEP = """SELECT count(*) FROM information_schema.processlist
 WHERE info LIKE '%SLEEP({seconds})%' AND info NOT LIKE '%processlist%' AND user LIKE '%reader'"""
DIGITS = f"(SELECT 0 AS d {' '.join(f'UNION ALL SELECT {digit}' for digit in range(1, 10))})"
COLLATIONS = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin")  # MariaDB's, MySQL 8's, everybody's


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
        self.collation = next(name for name in COLLATIONS if name in names)
        self.types = {**self.types, "text": f"LONGTEXT CHARACTER SET utf8mb4 COLLATE {self.collation}"}

    def compared(self, text):
        """The oldest collation takes no account of spaces at the end."""
        return text.rstrip(" ") if self.collation == COLLATIONS[-1] else text

    def literal(self, value):
        text = super().literal(value)
        return text.removesuffix("+00'") + "'" if text.endswith("+00'") else text

    def numbers(self, last):
        """What a statement may select `seq` from, which is 1 to that."""
        powers = range(len(str(last)))
        number = " + ".join(f"t{power}.d * {10**power}" for power in powers)
        digits = ", ".join(f"{DIGITS} AS t{power}" for power in powers)
        return f"(SELECT {number} AS seq FROM {digits} HAVING seq BETWEEN 1 AND {last}) AS numbers"

    def sleeping(self, seconds):
        return f"SELECT 1 AS id, SLEEP({seconds}) AS slept"

    def asleep(self, seconds):
        (count,) = self.execute(ASLEEP.format(seconds=seconds))[0]
        return count == 1

    def schema(self, name):
        """A schema is a database here: made beside the test's own, which is dropped with everything in it."""
        return self.url.rpartition("/")[2]


def bare(url: str, query: str) -> int:
    """Rows of a query by the driver's only path."""
    import pymysql

    from servers.patient import patient
    from smartico_sync.sources.mysql.login import Login

    login = Login(patient(url))
    host, port = login.hosts()[0]
    arguments = {**login.arguments(), "use_unicode": True}
    with pymysql.connect(host=host, port=port, **arguments) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return len(cursor.fetchall())


def serve(request):
    engine = MariaDB(request.getfixturevalue("mariadb"))
    yield engine
    engine.close()
