"""A casino of twelve tables, as a platform keeps them: players, money, games, slips, bonuses, logins. One DDL an engine, one seed."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ENGINES", "build", "statements"]

HERE = Path(__file__).parent
ENGINES = ("postgresql", "mariadb", "sqlite")


def statements(text: str) -> list[str]:
    """A script's statements, without comments."""
    lines = (line for line in text.splitlines() if not line.startswith("--"))
    return [each.strip() for each in ("\n".join(lines) + "\n").split(";\n") if each.strip()]


def build(database) -> None:
    """Make the casino in an empty database (`tests/engines`)."""
    dialect = "mariadb" if database.name == "mysql" else database.name
    files = (f"{dialect}.sql", "seed.sql")
    database.execute(*(each for file in files for each in statements((HERE / file).read_text("utf-8"))))
