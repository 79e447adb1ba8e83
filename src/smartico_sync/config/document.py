"""YAML with a place for every value: read by PyYAML's composer, which makes no objects and guesses no types.

Every plain value arrives as the text that was written (`on`, `1`, `2026-01-01`), so that the models alone decide what it
is; only an empty value, `null` and `~` arrive as None.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml
from msgspec import Struct, field

from smartico_sync.config.nodes import composed
from smartico_sync.config.problems import Loc, Place, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Document", "parse"]

MAX_NODES = 100_000  # aliases can blow a small file up; no honest configuration comes near
NULL = "tag:yaml.org,2002:null"
MERGE = "tag:yaml.org,2002:merge"
VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{))")
RESERVED = re.compile(r"[:/?#\[\]@\s]|%(?![0-9A-Fa-f]{2})")  # what would break a URL's user or password


class Document(Struct):
    """A parsed file. `raw` holds values as written, before `${ENV}`, which is what messages may show."""

    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    keys: dict[Loc, Place] = field(default_factory=dict)
    values: dict[Loc, Place] = field(default_factory=dict)
    raw: dict[Loc, str] = field(default_factory=dict)

    def place(self, problem: Problem) -> Place:
        """Where the problem is; for what is missing, where its parent begins."""
        if problem.place:
            return problem.place
        loc = problem.loc
        if problem.at == "key" and loc in self.keys:
            return self.keys[loc]
        while loc and loc not in self.values:
            loc = loc[:-1]
        return self.values.get(loc, Place(1, 1))

    def found(self, loc: Loc) -> str:
        """Describe the value as it was written; the caller knows that it is no secret."""
        if loc in self.raw:
            text = " ".join(self.raw[loc].split())
            return f"found {text[:60] + '…' if len(text) > 60 else text!r}" if text else "found nothing"
        return "found " + self.shape(loc)

    def at(self, loc: Loc) -> Any:
        """Return the value at that path; None where there is none."""
        value = self.data
        for part in loc:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def shape(self, loc: Loc) -> str:
        """Describe the value without showing it."""
        value = self.at(loc)
        if isinstance(value, dict):
            return "a mapping"
        return "a list" if isinstance(value, list) else "text" if isinstance(value, str) else "nothing"


def parse(text: str, environ: Mapping[str, str]) -> Document:
    """Read one YAML document; every problem of syntax, keys and variables is in `problems`."""
    document = Document()
    try:
        root = composed(text)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        document.problems.append(Problem((), "a character that YAML does not allow", place=place))
        return document
    except yaml.MarkedYAMLError as error:
        document.problems.append(Problem((), syntax(error), place=mark(error.problem_mark or error.context_mark)))
        return document
    except RecursionError:
        document.problems.append(Problem((), "nested too deeply", place=Place(1, 1)))
        return document
    if root is not None:
        document.data = Reader(document, environ).value(root, ())
    return document


def mark(at: yaml.Mark | None) -> Place:
    """PyYAML counts from 0."""
    return Place(at.line + 1, at.column + 1) if at else Place(1, 1)


def syntax(error: yaml.MarkedYAMLError) -> str:
    """Say what PyYAML says, without names of aliases and tags: a token may look like one."""
    said = re.sub(r"'[^'<\\\s][^'\s]+'", "…", " ".join(part for part in (error.context, error.problem) if part))
    hint = ""
    if "\\t" in said:
        hint = "; indent with spaces, not with tabs"
    elif "mapping values are not allowed" in said:
        hint = "; check the indentation, or quote a text that holds ': '"
    elif "cannot start any token" in said or "alias" in said or "anchor" in said:
        hint = "; quote the text"
    return f"not YAML: {said}{hint}"


class Reader:
    """Turns nodes into data and remembers where each came from."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.document = document
        self.environ = environ
        self.nodes = 0
        self.open: list[yaml.Node] = []

    def value(self, node: yaml.Node, loc: Loc) -> Any:
        """Turn one node into text, None, a list or a dict."""
        self.document.values[loc] = mark(node.start_mark)
        self.nodes += 1
        if self.nodes > MAX_NODES or any(node is outer for outer in self.open):
            if self.nodes <= MAX_NODES + 1:
                self.problem(loc, "an alias that repeats itself without end")
            return None
        if node.tag.startswith("!"):
            self.problem(loc, "tags such as !name are not used here; quote the text")
            return None
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, loc)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*loc, index)) for index, item in enumerate(node.value)]
            return self.scalar(node, loc) if isinstance(node, yaml.ScalarNode) else None  # there is no other kind
        finally:
            self.open.pop()

    def mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        """Turn a mapping into a dict; a key that is there twice is a problem, `<<` gives defaults."""
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.document.problems.append(
                    Problem(
                        loc,
                        "expected plain text as key; quote a text that begins with { or [",
                        place=mark(key.start_mark),
                    )
                )
            elif key.tag == MERGE:
                parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for part in reversed(parts):
                    defaults = self.value(part, loc)
                    merged |= defaults if isinstance(defaults, dict) else {}
            elif key.value in found:
                first = self.document.keys[*loc, key.value].line
                text = f"the same key again; the first is in line {first}, keep one of them"
                self.document.problems.append(Problem((*loc, key.value), text, "key", mark(key.start_mark)))
            else:
                self.document.keys[*loc, key.value] = mark(key.start_mark)
                found[key.value] = self.value(value, (*loc, key.value))
        self.document.values[loc] = mark(node.start_mark)
        return merged | found

    def scalar(self, node: yaml.ScalarNode, loc: Loc) -> str | None:
        """Take a plain value as it was written, with its variables filled in."""
        text = str(node.value)
        self.document.raw[loc] = text
        if node.tag == NULL:
            return None
        userinfo = text.rfind("@") if loc == ("state",) or (loc[:1] == ("sources",) and loc[-1:] == ("url",)) else -1

        def fill(match: re.Match[str]) -> str:
            name, default, broken = match[1], match[2], match[3]
            if broken:
                self.problem(loc, "expected ${NAME} or ${NAME:-default} after '$'; write $$ for a single $")
                return ""
            if name is None:
                return "$"
            value = self.environ.get(name, "")
            if name not in self.environ and default is None:
                text = f"the environment has no variable {name}; set it, or give a default: ${{{name}:-default}}"
                self.document.problems.append(Problem(loc, text, kind="no variable"))
            value = value or default or ""
            return RESERVED.sub(lambda found: quote(found[0], safe=""), value) if match.start() < userinfo else value

        return VARIABLE.sub(fill, text)

    def problem(self, loc: Loc, text: str) -> None:
        """Remember a problem of this value."""
        self.document.problems.append(Problem(loc, text))
