"""What a page or a hint tells somebody to type is a command, with options that it has."""

from __future__ import annotations

import ast
import re
import shlex

import click
import pytest

from repository.markdown import ROOT, blocks, sentences
from smartico_sync.cli import app

PROGRAMS = {"smartico-sync", "sync"}
ENDS = re.compile(r"^[|;&<>()]+$")  # what ends a command in a shell
OPTION = re.compile(r"--[a-z][a-z-]*")
# In texts of the program a command ends where the sentence goes on.
TOLD = re.compile(r"smartico-sync ((?:[a-z][a-z-]+ ?)+)((?: ?--[a-z-]+| ?[A-Z]+| ?\0| ?….?)*)")


def commands(text):
    """The commands of ours in the text of a shell: their words without redirections."""
    for line in text.replace("\\\n", " ").splitlines():
        words = [*shlex_words(line), ";"]
        command = []
        for word in words:
            if ENDS.match(word):
                named = [number for number, each in enumerate(command) if each.rpartition("/")[2] in PROGRAMS]
                if named and all("=" in each or each in {"systemd-run", "exec"} for each in command[: named[0]]):
                    yield command[named[0] + 1 :]
                command = []
            else:
                command.append(word)


def shlex_words(line):
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
    lexer.whitespace_split, lexer.commenters = True, "#"
    return list(lexer)


def typed():
    """Every command that a page shows."""
    for where, text in blocks("sh", "bash"):
        yield from ((where, words) for words in commands(text))
    for where, text in sentences():
        if text.partition(" ")[0] in PROGRAMS:
            yield from ((where, words) for words in commands(text))


def complaint(words):
    """What the command line says against these words; empty when it takes them, with `…` for a value or for more to come."""
    return refused(words) and refused([word for word in words if word != "…"])


def refused(words):
    """What the command line says against these words. Nothing is run."""
    given = [word for word in words if word not in {"-h", "--help"}]
    if not given or given == ["--version"] or given[0].isupper() or "=" in given[0]:  # any command, or a tag
        return ""
    try:
        group, name = app, given[0]
        context = click.Context(app, info_name="smartico-sync")
        while isinstance(command := group.get_command(context, name), click.Group):
            given = given[1:]
            if not given or given[0].isupper() or "/" in given[0]:  # any of its commands
                return ""
            group, name = command, given[0]
        if command is None:
            return f"no command {name}"
        if len(given) == 1:  # named in a sentence, without what it needs
            return ""
        command.make_context(name, given[1:])
    except click.MissingParameter:
        return ""
    except click.UsageError as error:
        return error.format_message()
    return ""


def test_every_command_of_the_pages_is_one(tmp_path, monkeypatch):
    """Options, arguments and their kinds, as the command line itself reads them."""
    monkeypatch.chdir(tmp_path)
    told = [(where, words, complaint(words)) for where, words in typed()]
    assert len(told) > 300
    assert [f"{where}: {shlex.join(words)}: {why}" for where, words, why in told if why] == []


def hints():
    """Every command that a text of the program names: where, its words, and its options."""
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            text = ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            for found in TOLD.finditer(text):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", found[1].split(), OPTION.findall(found[2])


def test_every_command_of_a_hint_is_one():
    """Following a hint literally never ends in `No such command` or `No such option`."""
    wrong = []
    for where, words, options in hints():
        command = app
        for word in words:
            if not isinstance(command, click.Group):
                break
            found = command.get_command(click.Context(command), word)
            if found is None:
                # A sentence about the program itself, rather than something to type.
                wrong += [f"{where}: {' '.join(words)}"] if command is not app or options else []
                break
            command = found
        else:
            known = {"--help", *(name for option in command.params for name in option.opts)}
            wrong += [f"{where}: {' '.join(words)} {option}" for option in options if option not in known]
    assert wrong == []


@pytest.mark.parametrize("where", ["README.md", "CONTRIBUTING.md"])
def test_every_target_is_one(where):
    """`make TARGET` of a page is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = re.findall(
        r"\bmake ([a-z-]+)", "\n".join(text for at, text in (*blocks("sh"), *sentences()) if where in at)
    )
    assert named
    assert set(named) <= targets
