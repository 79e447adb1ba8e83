"""Which views one member works with."""

from __future__ import annotations

import pytest

from smartico_sync.config.load import load
from smartico_sync.config.token_groups import token_groups
from smartico_sync.errors import ConfigError

BASE = """version: 1
smartico:
  url: https://apis6.smartico.ai/api/external/events/v2
  token: one
  brands: {lions: {token: two}, tigers: {token: three}, bears: {token: two}, plain: {alias: Plain}}
state: postgresql://sync:x@pg/sync
cluster: {key_file: state.key}
pii: {mode: drop}
sources: {db: {url: postgresql://reader:x@replica/casino}}
views:
"""


@pytest.fixture
def groups(tmp_path):
    def made(*views):
        file = tmp_path / "views.yaml"
        lines = [
            f"  - {{name: {name}, source: db, relation: t, kind: deposits, cursor: c{more}}}\n" for name, more in views
        ]
        file.write_text(BASE + "".join(lines))
        return {each.name: [view.name for view in each.views] for each in token_groups(load(file))}

    return made


def test_views_of_one_token_are_one_group(groups):
    """By their brand, or by the brands that they are filtered to; brands without a token of their own use that of all."""
    assert groups(
        ("a", ", brand: lions"),
        ("b", ", brand: bears"),
        ("c", ", brand: tigers"),
        ("d", ", where: {ext_brand_id: [plain, other]}"),
    ) == {"lions": ["a", "b"], "tigers": ["c"], "default": ["d"]}


def test_a_view_of_any_brand_joins_all(groups):
    """Its rows may go under every token."""
    assert groups(("a", ", brand: lions"), ("b", "")) == {"default": ["a", "b"]}


def test_a_group_by_name(groups):
    """It may join tokens, and cannot divide one."""
    assert groups(
        ("a", ", brand: lions, group: east"), ("b", ", brand: tigers, group: east"), ("c", ", brand: bears")
    ) == {"east": ["a", "b", "c"]}
    with pytest.raises(ConfigError, match="b and a use one token"):
        groups(("a", ", brand: lions, group: east"), ("b", ", brand: bears, group: west"))
