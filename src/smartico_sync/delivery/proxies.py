"""The proxy that the environment names for a URL: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, read in one way."""

from __future__ import annotations

import re
from base64 import b64encode
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from smartico_sync.core.discreet import Discreet
from smartico_sync.errors import ConfigError, DriverMissing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    import urllib3

__all__ = ["Proxy", "pools", "proxy_for"]

SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
PORTS = {"http": 80, "https": 443}
SOCKS_PORT = 1080


class Proxy(Discreet, frozen=True):
    """A proxy. `variable` names it in the environment; `user` and `password` are as they are, not percent-encoded."""

    unprinted = frozenset({"user", "password"})

    variable: str
    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def origin(self) -> str:
        """The URL without what is secret in it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def proxy_for(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for a URL; None when it is reached directly. ConfigError when the environment names none that can be used.

    Names in lower case go first; an empty one takes the other away. NO_PROXY lists, with commas or spaces: hosts with everything below them,
    addresses and networks (10.0.0.0/8, fd00::/8), each also with a port, or `*` for all.
    """
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or PORTS.get(parts.scheme, 0)
    for variable in (f"{parts.scheme}_proxy", "all_proxy"):
        name = variable if variable in environ else variable.upper()
        if value := environ.get(name, "").strip():
            exempt = environ.get("no_proxy", environ.get("NO_PROXY", ""))
            return None if bypassed(host, port, exempt) else parsed(name, value)
    return None


def parsed(variable: str, value: str) -> Proxy:
    """A proxy's URL; http when it has no scheme. What stands there may be secret, so it is never shown."""
    import urllib3  # noqa: PLC0415 - only where there is a proxy

    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port or (SOCKS_PORT if parts.scheme.startswith("socks") else PORTS.get(parts.scheme, 0))
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        proxy = Proxy(variable, parts.scheme, parts.hostname or "", port, user, password)
        urllib3.util.parse_url(proxy.origin)
    except (ValueError, urllib3.exceptions.LocationParseError):
        proxy = None
    if proxy is None or proxy.scheme not in SCHEMES or not proxy.host or not proxy.port:
        raise ConfigError(
            f"the environment's {variable} is no URL of a proxy",
            hint=f"write it as http://proxy:3128; it may begin with {', '.join(SCHEMES)}",
        )
    return proxy


def bypassed(host: str, port: int, exempt: str) -> bool:
    """Whether NO_PROXY names the host."""
    return any(names(entry, host.lower(), port) for entry in re.split(r"[,\s]+", exempt.lower()) if entry)


def names(entry: str, host: str, port: int) -> bool:
    """Whether one entry of NO_PROXY means the host."""
    if entry == "*":
        return True
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", entry)
    plain = re.fullmatch(r"([^:]*):(\d+)", entry)
    found = bracketed or plain
    name, wanted = (found[1], found[2]) if found else (entry, None)
    if wanted is not None and int(wanted) != port:
        return False
    try:
        network = ip_network(name, strict=False)
    except ValueError:
        name = name.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return ip_address(host) in network
    except ValueError:
        return False


def pools(proxy: Proxy | None, tls: ssl.SSLContext | None, **options: Any) -> urllib3.PoolManager:
    """urllib3's connections, through the proxy if there is one. DriverMissing when SOCKS needs a package that is not there."""
    import urllib3  # noqa: PLC0415 - only when something is sent

    if proxy is None:
        return urllib3.PoolManager(ssl_context=tls, **options)
    if proxy.scheme.startswith("socks"):
        try:
            import socks  # noqa: F401, PLC0415 - urllib3 warns when it is missing
            from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415 - only then it can be had
        except ImportError:
            raise DriverMissing(
                f"the environment's {proxy.variable} names a SOCKS proxy, and PySocks is not installed",
                hint="pip install 'smartico-sync[socks]'",
            ) from None
        user, password = proxy.user or None, proxy.password or None
        return SOCKSProxyManager(proxy.origin, user, password, ssl_context=tls, **options)
    headers = {}
    if proxy.user:
        login_text = f"{proxy.user}:{proxy.password}".encode()
        headers["Proxy-Authorization"] = f"Basic {b64encode(login_text).decode()}"
    return urllib3.ProxyManager(proxy.origin, proxy_headers=headers, proxy_ssl_context=tls, ssl_context=tls, **options)
