"""Logins of Amazon MSK by IAM: each token is signed here, with the credentials that the machine has by itself."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

from smartico_sync.errors import DriverMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["region_of", "token_source"]

EXTRA = "msk-iam"
HOST = re.compile(r"\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$")


def region_of(hosts: Iterable[str]) -> str:
    """The region that the brokers' names tell; empty where none does."""
    return next((found[1] for host in hosts if (found := HOST.search(host.lower()))), "")


def token_source(place: str, region: str) -> Callable[[str], tuple[str, float]]:
    """What the client calls for a token, again before it ends: the token, and when it ends in seconds since 1970.

    Credentials are found as the AWS command line finds them, each time: those of a role change. DriverMissing without the signer.
    """
    try:
        signer = import_module("aws_msk_iam_sasl_signer.MSKAuthTokenProvider")
    except ModuleNotFoundError as missing:
        raise DriverMissing(
            f"{place}: what signs logins by IAM is not installed ({missing.name})",
            hint=f"pip install 'smartico-sync[{EXTRA}]'",
        ) from None

    def token(_: str) -> tuple[str, float]:
        signed, ends_ms = signer.generate_auth_token(region)
        return signed, ends_ms / 1000

    return token
