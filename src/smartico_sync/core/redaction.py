"""What others say when they refuse something, without the values they repeat.

An API quotes what it was sent, and a database the value that a view stumbled over. Their words go into logs, metrics,
pages and the state; a person's address must not go with them, however it is written there.
"""

from __future__ import annotations

import re

from smartico_sync.core.known_words import PREFIXES, WORDS

__all__ = ["HEARD", "LONGEST", "from_api", "from_database"]

LONGEST = 160  # characters that are kept: a sentence
HEARD = 4 * LONGEST  # and that are looked at: leaving values out makes room
GAP = "…"
# What follows these words in a message of the API is a value.
VALUE = re.compile(r"\b(value|found|got|was)\b\s*\S.*", re.IGNORECASE | re.DOTALL)
QUOTED = re.compile(r"\"[^\"]*\"?|'[^']*'|`[^`]*`")
# An address ends where something else begins, also where the @ is written as in a URL or as JSON may write it.
ADDRESS = re.compile(r"[^\s\"'`<>()\[\]{},;:=|&]{1,320}(?:@|%(?:25)*40|\\u0040|&#64;)[^\s\"'`<>()\[\]{},;:=|&]*")
PHONE = re.compile(r"(?<![\d_])\+?\(?\d[\d\s()./-]{4,}\d(?!\w)")
PIECE = re.compile(r"(?P<named>\b(?:[Pp]roperty|[Ff]ield)\s+)?(?P<piece>[^\s,:;=|]+)")
# Words that are known, and what only a program is called; anything else may be a value, encoded in whichever way.
HARMLESS = re.compile(
    r"[(\[<]*(?:"
    r"(?P<words>(?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20})(?:[/'-](?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20}))*)"  # a word, or several joined
    r"|[A-Za-z][a-z]{2,20}(?:[A-Z][a-z]{4,20}){0,3}(?:Exception|Error)"
    r"|(?P<name>[A-Za-z]{1,20}(?:_\d{0,2}[A-Za-z]{0,20}\d{0,2}){1,8})"  # the name of a property
    r"|\d{1,3}"  # an HTTP status, a limit
    r")?[)\]>]*[.!?]*"
)
GAPS = re.compile(rf"{GAP}(?:[\s,:;=|.]*{GAP})+")


def from_api(message: str) -> str:
    """At most a sentence, of known words and names of properties; `…` stands for the rest, which may be a value of the event."""
    heard = whole_words(message)
    for value in (QUOTED, ADDRESS, PHONE):
        heard = value.sub(GAP, heard)
    heard = PIECE.sub(harmless, VALUE.sub(rf"\1 {GAP}", heard))
    return GAPS.sub(GAP, heard)[:LONGEST].strip()


def from_database(message: str) -> str:
    """At most a sentence, with the names that are quoted in it, and without addresses and phone numbers."""
    return PHONE.sub(GAP, ADDRESS.sub(GAP, whole_words(message)))[:LONGEST].strip()


def whole_words(message: str) -> str:
    """The beginning of a message; a word that would be cut is left out, because half an address is not told from a word."""
    return message if len(message) <= HEARD else message[:HEARD].rpartition(" ")[0]


def harmless(found: re.Match[str]) -> str:
    """The piece, if it is a known word, or the name of a property: what `Property` is said of, or what begins like one."""
    named, piece = found["named"] or "", found["piece"]
    heard = HARMLESS.fullmatch(piece)
    if heard is None:
        return named + GAP
    if named:
        return named + piece
    if words := heard["words"]:
        known = all(word.lower() in WORDS for word in re.split(r"[/'-]", words))
        return piece if known else GAP
    if name := heard["name"]:
        return piece if name.partition("_")[0].lower() in PREFIXES else GAP
    return piece
