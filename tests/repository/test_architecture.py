"""The map says which threads and locks there are, and the house has no circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MAP = (ROOT / "docs/architecture.md").read_text()
LOCKS = ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore")


def called(node: ast.AST) -> str:
    function = node.func if isinstance(node, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def locks() -> list[str]:
    """`Class.attribute`, or `module.name`, of every lock that is made."""
    found = []
    for path in SOURCES:
        text = path.read_text()
        if "threading" not in text or not (any(f"{kind}()" in text for kind in LOCKS) or "Condition(" in text):
            continue
        tree = ast.parse(text)
        for owner in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
            inside = ast.walk(owner) if isinstance(owner, ast.ClassDef) else owner.body
            named = owner.name if isinstance(owner, ast.ClassDef) else path.stem
            found += [
                f"{named}.{ast.unparse(node.targets[0]).removeprefix('self.')}"
                for node in inside
                if isinstance(node, ast.Assign) and called(node.value) in LOCKS
            ]
    return found


def threads() -> list[str]:
    """How the name of every thread that is made begins."""
    found = []
    for path in SOURCES:
        if "hread(" not in path.read_text() and "ThreadPoolExecutor(" not in path.read_text():
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if called(node) in ("Thread", "ThreadPoolExecutor"):
                names = [word.value for word in node.keywords if word.arg in ("name", "thread_name_prefix")]
                named = ast.unparse(names[0]) if names else ""
                words = named.removeprefix("f").partition("{")[0].strip("'")
                if words and words != "name":  # else it is given: by a table of the scheduler, by a destination
                    found.append(words)
                elif not named:
                    found.append(f"a thread of {path.name} without a name")
    return found


@pytest.mark.parametrize("lock", sorted(set(locks())))
def test_every_lock_stands_in_the_table_of_locks(lock):
    assert f"`{lock}`" in MAP.partition("## Locks")[2].partition("## The end")[0]


@pytest.mark.parametrize("name", sorted(set(threads())))
def test_every_thread_stands_in_the_table_of_threads(name):
    assert f"`{name}" in MAP.partition("## Threads")[2].partition("## Locks")[0]


def test_no_module_needs_itself():
    graph = grimp.build_graph("smartico_sync", cache_dir=None)
    TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}).prepare()
