"""Arrays of names on the wire: JSON text, sorted, without NULLs and without repeats."""

from __future__ import annotations

import csv
import json
from typing import Literal

import polars as pl

__all__ = ["Items", "names"]


Items = Literal[
    "as they are",
    "texts",  # numbers and booleans as their own text
]


def names(texts: pl.Series, split: str = "", items: Items = "as they are") -> pl.Series:
    """Texts as JSON arrays (String); null where a text is no array of names.

    JSON, or the form that PostgreSQL prints (`{VIP,"New player"}`); any other text only where `split` says what stands between
    its items.
    Equal sets make equal texts, so that a view that lists them in another order has changed nothing.
    """
    # Few combinations of names are on many players.
    each = texts.drop_nulls().unique()
    found = {text: listed(text, split, items) for text in each}
    return texts.replace_strict(
        list(found), pl.Series(list(found.values()), dtype=pl.String), default=None, return_dtype=pl.String
    )


def listed(text: str, split: str, items: Items) -> str | None:
    """One text as a JSON array, None where it is none."""
    found = parsed(text.strip(" \t\r\n"), split, items)
    if found is None or any(isinstance(item, dict | list) for item in found):
        return None
    if items == "texts":
        found = [json.dumps(item) if isinstance(item, bool) else item for item in found]
    distinct = {json.dumps(item, ensure_ascii=False): str(item) for item in found if item is not None}
    made = f"[{', '.join(sorted(distinct, key=lambda item: (distinct[item], item)))}]"
    return made if sound(made) else None


def sound(text: str) -> bool:
    """Whether a text can travel: JSON may spell half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def no_number(word: str) -> object:
    """Refuse NaN and its like, which are no JSON."""
    raise ValueError(word)


def parsed(text: str, split: str, items: Items) -> list[object] | None:
    """The items of a text, None where it is no array."""
    if text.startswith("["):
        try:
            digits = str if items == "texts" else None
            made = json.loads(text, parse_constant=no_number, parse_int=digits, parse_float=digits)
        except ValueError:
            return None
        return made if isinstance(made, list) else None
    if text.startswith("{") and text.endswith("}") and ":" not in text:
        (row,) = csv.reader([text[1:-1]], escapechar="\\") if text != "{}" else ([],)
        return [None if item == "NULL" else item for item in row]
    return [item.strip() for item in text.split(split) if item.strip()] if split and text else None
