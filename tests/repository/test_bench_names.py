"""The benches hold together, although no other test starts them: what one takes from another is there."""

from __future__ import annotations

import ast
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


def named(tree: ast.Module) -> set[str]:
    """What a module defines or imports at its outermost level."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(each.asname or each.name).partition(".")[0] for each in node.names}
    return found


def test_no_bench_imports_what_is_not_there():
    """Every `from bench.x import y` names a y that x has."""
    trees = {path.stem: ast.parse(path.read_text("utf-8")) for path in BENCH.glob("*.py")}
    missing = [
        f"{module}: {each.name} of {node.module}"
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench.")
        for each in node.names
        if each.name not in named(trees[str(node.module).partition(".")[2]])
    ]
    assert missing == []
