"""A database's URL without its secrets: each becomes a variable of the environment."""

from __future__ import annotations

import re

__all__ = ["PASSWORD", "without_secrets"]

PASSWORD = "DB_PASSWORD"  # noqa: S105  - a variable's name
LOGIN = re.compile(r"^(?P<before>[^:/?#]+://[^:/@]*:)(?P<secret>.+)(?P<after>@[^@]*)$", re.DOTALL)
# `password_file` and `oauth_token_request_url` only name where something is.
PARAMETER = re.compile(
    r"(?P<before>[?&](?P<name>[^=&]*(?:pass(?:word|phrase|wd)|pwd|secret[a-z_]*|token|access_?key)[^=&]*)=)(?P<secret>[^&]+)",
    re.IGNORECASE,
)
NO_SECRET = re.compile(r"(?:file|url|type|provider|path|id)$", re.IGNORECASE)
VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def without_secrets(url: str) -> tuple[str, dict[str, str]]:
    """The URL as a configuration may hold it, and the variables that it now asks for, with what stood there.

    What is a variable already stays. A `$` elsewhere is doubled, since the configuration would take it for one.
    """
    variables: dict[str, str] = {}

    def parameter(match: re.Match[str]) -> str:
        name, secret = match["name"], match["secret"]
        if NO_SECRET.search(name) or VARIABLE.fullmatch(secret):
            return match[0]
        variable = "DB_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()
        variables[variable] = secret
        return f"{match['before']}${{{variable}}}"

    login, question, query = _split(url)
    found = LOGIN.match(login)
    if found and not VARIABLE.fullmatch(found["secret"]):
        variables[PASSWORD] = found["secret"]
        login = f"{found['before']}${{{PASSWORD}}}{found['after']}"
    return login + PARAMETER.sub(parameter, question + query), variables


def _split(url: str) -> tuple[str, str, str]:
    """The password ends at the last `@`, and may hold a `?`."""
    at = url.rfind("@")
    place, question, query = url[at + 1 :].partition("?")
    return url[: at + 1] + place, question, query
