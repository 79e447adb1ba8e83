"""Which views one member works with: those that use one token, because its limits and the order of its players are kept in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.config.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from smartico_sync.config.models import Brand, Configuration, Smartico, View

__all__ = ["DEFAULT", "TokenGroup", "group_problems", "token_groups"]

DEFAULT = "default"  # the group of the views that use the token of all
WHOLE = "*"  # the state's own name for all groups at once
BRAND = "ext_brand_id"


class TokenGroup(Struct, frozen=True):
    """A group of views. `brands`: those with a URL or token of their own that they may send to; `main`: whether the token of all is among theirs."""

    name: str
    views: tuple[View, ...]
    brands: tuple[str, ...]
    main: bool

    def within(self, names: AbstractSet[str]) -> TokenGroup:
        """The group with these of its views."""
        return replace(self, views=tuple(view for view in self.views if view.name in names))

    def without(self, names: AbstractSet[str]) -> TokenGroup:
        """The group with its other views."""
        return replace(self, views=tuple(view for view in self.views if view.name not in names))

    def part_of(self, configuration: Configuration) -> Configuration:
        """The configuration as far as it is the group's."""
        brands = {name: brand for name, brand in configuration.smartico.brands.items() if name in self.brands}
        smartico = configuration.smartico.model_copy(update={"brands": brands})
        return configuration.model_copy(update={"views": self.views, "smartico": smartico})


def token_groups(configuration: Configuration) -> tuple[TokenGroup, ...]:
    """Every group, in the order of its first view. What `group_problems` refuses is one group."""
    smartico = configuration.smartico
    joined = Joined()
    for view in configuration.views:
        joined.join([view.name, *(("token", each) for each in tokens_of(smartico, view)), *named(view)])
    for view in configuration.views:  # two tokens that have the same name are one group, too
        joined.join([view.name, ("group", name_of(configuration, joined, view))])
    found: dict[object, list[View]] = {}
    for view in configuration.views:
        found.setdefault(joined.root(view.name), []).append(view)
    groups = []
    for root, views in found.items():
        brands = [
            name for name, brand in smartico.brands.items() if joined.root(("token", token(smartico, brand))) == root
        ]
        main = joined.root(("token", token(smartico, None))) == root
        groups.append(TokenGroup(name_of(configuration, joined, views[0]), tuple(views), tuple(brands), main))
    return tuple(groups)


def group_problems(configuration: Configuration) -> Iterator[Problem]:
    """Views that use one token and name several groups: two members would each take its limits for their own."""
    smartico, joined = configuration.smartico, Joined()
    for view in configuration.views:
        joined.join([view.name, *(("token", each) for each in tokens_of(smartico, view))])
    first: dict[object, View] = {}
    for place, view in enumerate(configuration.views):
        if view.group is None:
            continue
        other = first.setdefault(joined.root(view.name), view)
        if other.group != view.group:
            yield Problem(
                ("views", place, "group"),
                f"{view.name} and {other.name} use one token, whose limits one member keeps: expected `group: {other.group}`, or "
                "`brand:` in each of them and a token of its own for each brand",
            )


def named(view: View) -> list[object]:
    """The group that a view names."""
    return [("group", view.group)] if view.group else []


def name_of(configuration: Configuration, joined: Joined, view: View) -> str:
    """What the group of a view is called."""
    smartico, root = configuration.smartico, joined.root(view.name)
    for each in configuration.views:
        if each.group and joined.root(each.name) == root:
            return each.group
    if joined.root(("token", token(smartico, None))) == root:
        return DEFAULT
    name = next(
        name for name, brand in smartico.brands.items() if joined.root(("token", token(smartico, brand))) == root
    )
    return f"brand {name}" if name == WHOLE else name


def tokens_of(smartico: Smartico, view: View) -> list[object]:
    """The tokens that a view's rows may be sent under: all of them, where nothing says which brands it holds."""
    brands = [view.brand] if view.brand else brands_filtered(view)
    if brands:
        return [token(smartico, smartico.brands.get(name)) for name in brands]
    return [token(smartico, brand) for brand in (None, *smartico.brands.values())]


def brands_filtered(view: View) -> list[str]:
    """The brands that `where:` lets through."""
    for column, values in view.where.items():
        if view.targets.get(column, column) == BRAND:
            return [str(each) for each in (values if isinstance(values, list | tuple) else (values,))]
    return []


def token(smartico: Smartico, brand: Brand | None) -> object:
    """What tells one token from another. Not to be shown."""
    holder = brand if brand is not None and (brand.token is not None or brand.token_file is not None) else smartico
    if holder.token_file:
        return (None, holder.token_file)
    return (holder.token.get_secret_value() if holder.token is not None else None, None)


class Joined:
    """Things, and which of them belong together."""

    def __init__(self) -> None:
        self._above: dict[object, object] = {}

    def root(self, thing: object) -> object:
        """The same for all that belong together."""
        while (above := self._above.get(thing, thing)) != thing:
            thing = above
        return thing

    def join(self, things: list[object]) -> None:
        """Let them belong together."""
        for each in things[1:]:
            self._above[self.root(each)] = self.root(things[0])
