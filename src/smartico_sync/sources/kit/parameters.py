"""The parameters of a source, by the names that its engine's declaration gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.config.source_checks import nearest_parameter
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smartico_sync.catalogue.engines import Engine
    from smartico_sync.sources.kit.url import Url

__all__ = ["named"]


def named(url: Url, options: Iterable[tuple[str, str]], engine: Engine) -> dict[str, str]:
    """The URL's parameters, then the source's options; those that change nothing here are left out.

    ConfigError for one that the engine does not have, with the nearest. Values may be secrets: none is repeated.
    """
    found = {}
    for written, value in (*url.parameters.items(), *options):
        parameter = engine.parameter(written)
        if parameter is None:
            problem, hint = nearest_parameter(engine, written)
            raise ConfigError(f"{url.place}: {problem}", hint=hint)
        if parameter.use == "applied":
            found[parameter.name] = value
    return found
