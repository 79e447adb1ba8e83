"""A name that begins with `_` is private to its module, in every room and in the tests."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [path for room in ("src", "tests", "bench") for path in sorted((ROOT / room).rglob("*.py"))]


def borrowed(tree: ast.AST) -> list[str]:
    """Private names that a module imports from another of ours, or takes from one that it has imported."""
    ours, found, nodes = set(), [], list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "smartico_sync":
            found += [f"{node.lineno}: {each.name}" for each in node.names if private(each.name)]
            # What is called in small letters may be a module.
            ours |= {each.asname or each.name for each in node.names if each.name.islower()}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ours:
            found += [f"{node.lineno}: {node.value.id}.{node.attr}"] if private(node.attr) else []
    return found


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_private_names_stay_at_home():
    """No module uses the private names of another."""
    found = {str(path.relative_to(ROOT)): borrowed(ast.parse(path.read_text("utf-8"))) for path in FILES}
    assert {path: names for path, names in found.items() if names} == {}


def test_what_is_borrowed_is_found():
    """The rule itself: an import of a private name, and a private name of a module."""
    tree = ast.parse("from smartico_sync.a import b, _c\nfrom json import _d\nb._e, json._f, b.g, b.__name__")
    assert borrowed(tree) == ["1: _c", "3: b._e"]
