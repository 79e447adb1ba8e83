"""What is wrong with a server's certificate, in words, by what OpenSSL says of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import ssl

__all__ = ["Flaw", "flaw", "flaw_in_words"]

Flaw = Literal["is not valid yet", "has expired", "is for another host", "is of an unknown authority"]
NOT_YET, EXPIRED, OTHER_NAME, OTHER_ADDRESS = 9, 10, 62, 64  # X509_V_ERR_… of OpenSSL
FLAWS: dict[int, Flaw] = {
    NOT_YET: "is not valid yet",
    EXPIRED: "has expired",
    OTHER_NAME: "is for another host",
    OTHER_ADDRESS: "is for another host",
}
# What clients say that keep the number to themselves.
WORDS: tuple[tuple[Flaw, re.Pattern[str]], ...] = (
    ("is not valid yet", re.compile("not yet valid")),
    ("has expired", re.compile("has expired")),
    ("is for another host", re.compile("(does not|doesn't) match|[Mm]ismatch|not valid for '")),
    ("is of an unknown authority", re.compile("self[- ]signed|local issuer")),
)


def flaw(error: ssl.SSLCertVerificationError) -> Flaw:
    """Why the certificate was not accepted."""
    return FLAWS.get(error.verify_code, "is of an unknown authority")


def flaw_in_words(text: str) -> Flaw | None:
    """The same of what a client tells; None where it does not say."""
    return next((found for found, words in WORDS if words.search(text)), None)
