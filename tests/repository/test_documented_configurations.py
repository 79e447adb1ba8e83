"""Every block of YAML on a page is a part of a configuration that is taken as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from repository.markdown import blocks
from smartico_sync.config import load
from smartico_sync.config.models import Configuration, SourceConfig
from smartico_sync.errors import SyncError

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHERS = {"rule_files", "scrape_configs"}  # Prometheus'
TOP = {
    "version": "version: 1",
    "smartico": "smartico: {url: 'https://apis6.smartico.ai/api/external/events/v2', token: secret}",
    "pii": f"pii: {{key: '{KEY}'}}",
    "sources": "sources:\n  %s: {url: '%s://reader@127.0.0.1/casino'}",
    "views": "views:\n  - {name: v, source: %s, relation: crm.deposits, kind: deposits, cursor: dt_finalized}",
}
SOURCE = {"url": "url: postgresql://reader@127.0.0.1/casino"}
VIEW = {
    "name": "name: v",
    "source": "source: casino",
    "relation": "relation: crm.deposits",
    "kind": "kind: deposits",
    "cursor": "cursor: dt_finalized",
}
FILE = re.compile(r"\b(\w*_file|ca): ([^\s,}#]+)")
SECRETS = {"key_file": KEY, "url_file": "https://chat.example.com/hook"}


class Environment(dict):
    """Whatever a page takes from the environment is there."""

    def __missing__(self, name):
        return KEY if name.endswith("_KEY") else "https://chat.example.com/hook" if "WEBHOOK" in name else "secret"

    def get(self, name, default=None):
        return self[name]

    def __contains__(self, name):
        return True


def variants():
    """Each block; where it shows several urls, of which one is to be chosen, each with the rest."""
    for where, text in blocks("yaml"):
        urls = re.findall(r"^url: .*$", text, re.MULTILINE)
        rest = re.sub(r"^url: .*\n", "", text, flags=re.MULTILINE)
        if len(urls) < 2:
            yield pytest.param(where, text, id=where)
        else:
            yield from (pytest.param(where, f"{url}\n{rest}", id=f"{where}, url {n}") for n, url in enumerate(urls, 1))


def filled(parts, text, given):
    """The parts that the text does not have, before it."""
    return "\n".join([*(part for name, part in parts.items() if name not in given), text])


def indented(text, first, other):
    return "\n".join((first if number == 0 else other) + line for number, line in enumerate(text.splitlines()))


def completed(text, scheme):
    """A whole configuration around a block: a part of the file, of a source of that scheme, or of a view, or a list of views."""
    given = yaml.load(text, yaml.BaseLoader)
    name = next(iter(given["sources"])) if "sources" in given else "casino"
    if isinstance(given, list):
        text, given = "views:\n" + indented(text, "  ", "  "), {"views"}
    elif set(given) <= set(SourceConfig.model_fields) - {"query"}:
        text, given = "sources:\n  casino:\n" + indented(filled(SOURCE, text, given), "    ", "    "), {"sources"}
    elif not set(given) <= set(Configuration.model_fields):
        chosen = {**VIEW, "relation": ""} if "query" in given else VIEW
        block = filled({key: part for key, part in chosen.items() if part}, text, given)
        text, given = "views:\n" + indented(block, "  - ", "    "), {"views"}
    top = {**TOP, "sources": TOP["sources"] % (name, scheme), "views": TOP["views"] % name}
    return filled(top, text, given)


@pytest.mark.parametrize(("where", "text"), list(variants()))
def test_a_block_is_taken_as_it_stands(where, text, tmp_path):
    """A key that was renamed, a value that is refused, or a file that is odd fails the page that shows it."""
    scheme = Path(where.partition(":")[0]).stem if where.startswith("docs/databases/") else "postgresql"
    given = yaml.load(text, yaml.BaseLoader)
    if isinstance(given, dict) and given.keys() & OTHERS:
        assert yaml.safe_load(text)
        return

    def put(found):
        file = tmp_path / found[2].replace("/", "_")
        file.write_text(SECRETS.get(found[1], "secret"))
        file.chmod(0o600)
        return f"{found[1]}: {file}"

    path = tmp_path / "views.yaml"
    path.write_text(completed(FILE.sub(put, text), scheme))
    try:
        assert load(path, Environment()).views
    except SyncError as error:
        pytest.fail(f"{error.message}\n{path.read_text()}")
