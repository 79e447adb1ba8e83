"""Where the state is, and its secret."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from smartico_sync.catalogue.engines import STATE_SERVER
from smartico_sync.config.secret_files import read_secret
from smartico_sync.config.shared_topics import shared_views
from smartico_sync.config.source_checks import engine_of
from smartico_sync.config.state_checks import is_server
from smartico_sync.config.token_groups import token_groups
from smartico_sync.errors import ConfigError, SecretsMissing
from smartico_sync.pii.keys import parse_key
from smartico_sync.state.group import Group
from smartico_sync.state.place import FilePlace, Place, ServerPlace

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.models import Configuration
    from smartico_sync.config.token_groups import TokenGroup

__all__ = ["secret_in", "server_at", "state_place"]

HOW_TO_WRITE = "`smartico-sync state key FILE` writes the secret of the state there is, `smartico-sync keys new --quiet` prints one for a new state"


def state_place(configuration: Configuration, base: Path) -> Place:
    """Where the state is; a file's path is relative to the configuration's directory. ConfigError when its secret is of no use."""
    secret = state_secret(configuration, base)
    if not is_server(configuration.state):
        return FilePlace(base / configuration.state, secret)
    if secret is None:
        raise ConfigError(
            "`state:` is a database, which never holds the state's secret, and no file of it is named",
            hint="name the same file on every member as `cluster: {key_file: …}`",
        )
    return server_at(configuration.state, secret, configuration)


def server_at(url: str, secret: bytes, configuration: Configuration) -> ServerPlace:
    """A state in a database, for a member with this configuration."""
    _, _, rest = url.partition("://")
    cluster, shared = configuration.cluster, shared_views(configuration)
    groups = tuple(group_of(each, shared, configuration, secret) for each in token_groups(configuration))
    return ServerPlace(f"{STATE_SERVER.scheme}://{rest}", secret, cluster.lease / 1000, groups, cluster.member or "")


def group_of(group: TokenGroup, shared: frozenset[str], configuration: Configuration, secret: bytes) -> Group:
    """The group as the state knows it; `shared`: views that members read together."""
    names = tuple(view.name for view in group.views)
    mine = shared.intersection(names)
    budget: Literal["own", "shared"] = "shared" if mine else "own"
    return Group(group.name, names, digest_of(group, mine, configuration, secret), budget=budget)


def digest_of(group: TokenGroup, shared: frozenset[str], configuration: Configuration, secret: bytes) -> str:
    """A keyed hash of what a group reads and of what it makes of it: members of one group have the same.

    Its views, and which of them are shared; of their sources what tells one from another, but not its servers and its login, which may be
    each machine's own; how personal data is protected, and under which key; what Smartico calls its brands.
    """
    told = [view.model_dump_json() for view in group.views] + [f"shared {name}" for name in shared]
    for name in {view.source for view in group.views}:
        source = configuration.sources[name]
        engine, url = engine_of(source.url), source.url.get_secret_value().partition("://")[2]
        _, _, database = url.rpartition("@")[2].partition("/")
        read = (engine and engine.scheme, database, sorted(source.options.items()), source.timezone, source.group)
        told.append(f"source {name} {read}")
    pii = configuration.pii
    key = pii.key.get_secret_value() if pii.mode == "encrypt" and pii.key else ""
    told.append(f"pii {pii.model_dump_json(exclude={'key', 'key_file'})} {key}")
    told += [f"brand {name} {configuration.smartico.brands[name].alias}" for name in group.brands]
    return hashlib.blake2b("\n".join(sorted(told)).encode(), digest_size=8, key=secret).hexdigest()


def state_secret(configuration: Configuration, base: Path) -> bytes | None:
    """The state's secret, where it is kept apart. ConfigError when its file is of no use."""
    if configuration.state_key_file is not None:
        return secret_in(base / configuration.state_key_file, "state_key_file")
    named = configuration.cluster.key_file
    return None if named is None else secret_in(base / named, "cluster.key_file")


def secret_in(file: Path, setting: str) -> bytes:
    """The secret that a file holds; `setting` names it. ConfigError when it is of no use."""
    found = read_secret(file, "text")
    if found.value is None:
        failure = SecretsMissing if found.absent else ConfigError
        raise failure(
            f"`{setting}`: {found.problem}",
            hint=HOW_TO_WRITE,
        )
    try:
        return parse_key(found.value.get_secret_value())
    except ConfigError as error:
        told = error.message.replace("the PII key", "the key in it")
        raise ConfigError(f"`{setting}` {file}: {told}", hint=HOW_TO_WRITE) from None
