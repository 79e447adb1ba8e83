"""Sets of names that are told by difference: those that were accepted, and every name that was ever on its way.

What is taken away is sent by its name, so hashes would not do: the names rest encrypted (AES-SIV) under the secret of the key file,
and who has the state and not its key learns no more of them than of a profile's other values.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

import polars as pl
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from smartico_sync.core.told_sets import marked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from smartico_sync.state.statements import Statements

__all__ = ["Cipher", "add_names", "known", "names", "remember"]

CHUNK = 20_000  # ids looked up by one statement, as of profiles


class Cipher:
    """Encrypts texts under a state's secret; equal texts in one place make equal bytes, so that a name is kept once."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(blake2b(secret, digest_size=64, person=b"told sets").digest())

    def hidden(self, text: str, place: str) -> bytes:
        """A text that is to rest in that place."""
        return self._cipher.encrypt(text.encode(), [place.encode()])

    def shown(self, hidden: bytes, place: str) -> str:
        """The text again. cryptography's InvalidTag where it is another place's, or another key's."""
        return self._cipher.decrypt(hidden, [place.encode()]).decode()


def known(connection: Statements, cipher: Cipher, view_no: int, ids: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
    """The sets that were accepted last of these players: [id UInt64, a column of JSON a set], without players of whom none was."""
    found: dict[int, dict[str, str]] = {}
    wanted = ids.cast(pl.UInt64).reinterpret(signed=True).drop_nulls().unique().sort().to_list()
    for start in range(0, len(wanted), CHUNK):
        rows = connection.execute(
            "SELECT t.id, t.property, t.names FROM (SELECT CAST(value AS BIGINT) AS id FROM json_each(?)) AS wanted "
            "CROSS JOIN told_set AS t WHERE t.view_no = ? AND t.id = wanted.id",
            (json.dumps(wanted[start : start + CHUNK]), view_no),
        )
        for player, name, hidden in rows:
            found.setdefault(player, {})[name] = cipher.shown(hidden, f"{player} {name}")
    made = {"id": pl.Series(list(found), dtype=pl.Int64).reinterpret(signed=False)}
    return pl.DataFrame(
        made
        | {column: pl.Series([each.get(column[1:]) for each in found.values()], dtype=pl.String) for column in columns}
    )


def remember(connection: Statements, cipher: Cipher, view_no: int, profiles: pl.DataFrame) -> None:
    """Insert or replace the sets of accepted profiles, inside the caller's transaction; null leaves what is there."""
    columns = marked(profiles.columns)
    ids = profiles.get_column("id").cast(pl.UInt64).reinterpret(signed=True) if columns else ()
    for column in columns:
        name = column[1:]
        connection.executemany(
            "INSERT INTO told_set (view_no, id, property, names) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (view_no, id, property) DO UPDATE SET names = excluded.names",
            [
                (view_no, player, name, cipher.hidden(text, f"{player} {name}"))
                for player, text in zip(ids, profiles.get_column(column), strict=True)
                if text is not None
            ],
        )


def names(connection: Statements, cipher: Cipher) -> dict[str, dict[str, set[str]]]:
    """Every name that was ever on its way, each as JSON, by identity of the view and property."""
    found: dict[str, dict[str, set[str]]] = {}
    for identity, name, hidden in connection.execute("SELECT identity, property, name FROM told_name"):
        found.setdefault(identity, {}).setdefault(name, set()).add(cipher.shown(hidden, name))
    return found


def add_names(connection: Statements, cipher: Cipher, identity: str, new: Mapping[str, Iterable[str]]) -> None:
    """Note names (each as JSON) by property, inside the caller's transaction; those that are there stay."""
    connection.executemany(
        "INSERT INTO told_name (identity, property, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(identity, name, cipher.hidden(text, name)) for name, texts in new.items() for text in texts],
    )
