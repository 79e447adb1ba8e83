"""How a connection is protected from whoever is on its way, and whom it needs protection from."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

__all__ = ["STANDING", "WITHIN", "Encryption", "is_loopback"]

Encryption = Literal[
    "verified",  # TLS, and the server's certificate is checked: nobody else can answer, or listen
    "unverified",  # TLS with whoever answers: a listener learns nothing, who takes the server's place everything
    "off",  # no TLS is promised: whoever is on the way can read and answer
]
# What check, log and page call it.
STANDING: dict[Encryption, str] = {
    "verified": "encrypted and verified",
    "unverified": "encrypted",
    "off": "in the clear",
}


WITHIN = ", within this machine"  # how what is said of it ends


def is_loopback(host: str) -> bool:
    """Whether a host, by its name or address, can only be this machine. No name is looked up: who answers could lie."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
