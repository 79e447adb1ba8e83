"""YAML as nodes, each with its place: scanned and parsed by libyaml, in a twelfth of the time that PyYAML takes.

Where libyaml finds no document, PyYAML is asked: its word counts, for its messages are those that we know. What PyYAML takes is
the same nodes either way; libyaml takes a little more, such as a tab behind a colon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from yaml.composer import Composer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["composed"]

BYTE_ORDER_MARK = "\ufeff"


def by_pyyaml(text: str) -> yaml.Node | None:
    """The root of the one document; yaml.YAMLError where there is no such document, RecursionError where it is too deep."""
    found: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    return found


def by_libyaml() -> Callable[[str], yaml.Node | None]:
    """The same by libyaml; by PyYAML where it was built without."""
    if not yaml.__with_libyaml__:
        return by_pyyaml

    class Parsed(Composer, yaml.CSafeLoader):
        """Composed in Python, which ends at a depth where C overruns its stack."""

        def __init__(self, text: str) -> None:
            yaml.CSafeLoader.__init__(self, text)
            Composer.__init__(self)

    return lambda text: Parsed(text).get_single_node()


quickly = by_libyaml()


def composed(text: str) -> yaml.Node | None:
    """As `by_pyyaml`."""
    # Both say something else of a byte order mark amid the text, and where an empty value is that ends it.
    if BYTE_ORDER_MARK in text or not text.endswith("\n"):
        return by_pyyaml(text)
    try:
        return quickly(text)
    except (yaml.YAMLError, UnicodeError):
        return by_pyyaml(text)
