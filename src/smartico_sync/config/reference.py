"""The published reference: `config/views.schema.json` for editors; `docs/configuration.md`, the pages of kinds and engines for people; `docs/streams/events.schema.json` for who publishes events.

`python -m smartico_sync.config.reference` says whether they are stale (exit code 1), `--write` writes them again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, SecretStr

from smartico_sync.catalogue.engines import BROKERS, ENGINES
from smartico_sync.config import models
from smartico_sync.config.base import listed
from smartico_sync.config.descriptions import descriptions
from smartico_sync.config.engine_reference import SCHEME_PATTERN, broker_table, engine_table, with_parameters
from smartico_sync.config.event_schemas import event_schemas
from smartico_sync.config.explain import bare
from smartico_sync.config.kind_reference import kind_table, with_kinds
from smartico_sync.config.models import Configuration
from smartico_sync.config.units import Bytes, Quantity

__all__ = ["as_markdown", "as_schema", "main"]

ROOT = Path(__file__).resolve().parents[3]
SCHEMA_FILE = ROOT / "config" / "views.schema.json"
MARKDOWN_FILE = ROOT / "docs" / "configuration.md"
KINDS_FILE = ROOT / "docs" / "smartico.md"
DATABASES = ROOT / "docs" / "databases"
STREAMS = ROOT / "docs" / "streams"
EVENTS_FILE = STREAMS / "events.schema.json"
REQUIRED = "required"
# Model, its place in the file, in the order in which an operator meets them.
SECTIONS: tuple[tuple[type[BaseModel], str], ...] = (
    (Configuration, ""),
    (models.Smartico, "smartico"),
    (models.Brand, "smartico.brands.NAME"),
    (models.Cluster, "cluster"),
    (models.Pii, "pii"),
    (models.Health, "health"),
    (models.AlertReceiver, "alerts.NAME"),
    (models.Tracing, "tracing"),
    (models.Reconcile, "reconcile"),
    (models.DeadLetters, "dead_letters"),
    (models.SourceConfig, "sources.NAME"),
    (models.View, "views[]"),
    (models.TypeColumn, "views[].type"),
    (models.ColumnRule, "views[].columns.COLUMN"),
    (models.FieldPath, "views[].fields.COLUMN"),
    (models.MaxRefused, "views[].max_refused"),
)
INTRODUCTION = """# Configuration

Generated from the models by `python -m smartico_sync.config.reference --write`; do not edit.

Start from [config/views.minimal.yaml](../config/views.minimal.yaml), or from
[config/views.yaml](../config/views.yaml), which shows everything. Editors complete and check the file with
[config/views.schema.json](../config/views.schema.json): its first line says so.
`smartico-sync check --config views.yaml` names every mistake with file, line and column.

- **Durations** are a whole number and a unit: `200ms`, `5s`, `10m`, `1h`, `7d`. A number alone is refused.
- **Sizes** likewise: `512KB`, `10MB` (thousands), `8MiB` (1024s).
- **Variables**: `${NAME}` and `${NAME:-default}` anywhere inside a value, from the environment, else from
  `secrets.env` beside the file (`NAME=value` lines, as systemd reads them); a missing one is an error. `$$` is a `$`.
  Inside user and password of a URL of a source or the state special characters of the variable are percent-encoded. A
  `%` with two hexadecimal digits behind it is taken for encoded already: write `%25` for that `%`, or `password_file`,
  which is taken as it is.
- **Secrets in files**: `token_file`, `key_file` and `password_file`, relative to the configuration file.
- **Text** is taken as it is written: `bet: 1`, `listen: off` and `start_from: 2026-01-01` need no quotes.
- Unknown keys and keys that are there twice are errors.
"""
KINDS_INTRODUCTION = """What a view's rows become. The page of [kinds](smartico.md) has the columns of each, their types, what is needed, and how sure
we are of it."""
DATABASES_INTRODUCTION = """What a source's `url` may begin with. `dialect+driver://`, as SQLAlchemy has it, is the same as `dialect://`; each page names
the parameters that may follow `?`, or stand in `options`."""

BROKERS_INTRODUCTION = """Messages in place of rows: what a source's `url` may begin with then. A view of such a source names topics or queues in
`relation`, and has a `format`."""


SHORTHANDS = ("columns", "fields")  # mappings of a view in which a name may stand for a rule that only names it


def as_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of `views.yaml`; durations and sizes with defaults as people write them."""
    schema = Configuration.model_json_schema()
    for model, _ in SECTIONS:
        properties = (schema if model is Configuration else schema["$defs"][model.__name__])["properties"]
        for name, told in descriptions(model).items():
            properties[name] = dict(sorted({**properties[name], "description": told}.items()))
        for name, described in properties.items():
            described.pop("title", None)
            if described.get("type") == "array" and any(
                each == BeforeValidator(listed) for each in model.model_fields[name].metadata
            ):
                described["anyOf"] = [{"type": "string"}, {key: described.pop(key) for key in ("type", "items")}]
            if "default" not in described:
                continue
            text = default_text(model, name)
            if quantity_of(model, name) and described["default"] is not None:
                described["default"] = text
            elif isinstance(described["default"], dict) or described["default"] is None:
                del described["default"]
    for name in SHORTHANDS:
        within = schema["$defs"]["View"]["properties"][name]
        within["additionalProperties"] = {"anyOf": [{"type": "string", "minLength": 1}, within["additionalProperties"]]}
    schema["$defs"]["SourceConfig"]["properties"]["url"]["pattern"] = SCHEME_PATTERN
    schema["title"] = "views.yaml of smartico-sync"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def as_markdown() -> str:
    """Give the reference for people: a table per section, the databases and the kinds."""
    parts = [INTRODUCTION]
    for model, place in SECTIONS:
        parts.append(f"## {f'`{place}`' if place else 'The file'}\n\n{one_line(model.__doc__ or '')}\n")
        rows = [
            f"| `{name}` | {type_text(model, name)} | {shown_default(model, name)} | {cell(descriptions(model).get(name, ''))} |"
            for name in model.model_fields
        ]
        parts.append("\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows]) + "\n")
    parts.append(f"## Databases\n\n{DATABASES_INTRODUCTION}\n\n{engine_table()}")
    parts.append(f"## Brokers\n\n{BROKERS_INTRODUCTION}\n\n{broker_table()}")
    parts.append(f"## Kinds\n\n{KINDS_INTRODUCTION}\n\n{kind_table()}")
    return "\n".join(parts)


def quantity_of(model: type[BaseModel], name: str) -> Quantity | None:
    """Find the unit of a field."""
    return next((mark for mark in model.model_fields[name].metadata if isinstance(mark, Quantity)), None)


def default_text(model: type[BaseModel], name: str) -> str:
    """Write a default as it would stand in the file."""
    field = model.model_fields[name]
    value = field.get_default(call_default_factory=True)
    quantity = quantity_of(model, name)
    if quantity:
        return quantity.text(value)
    if field.is_required():
        return REQUIRED
    if isinstance(value, BaseModel) or value in (None, {}, ()):
        return ""
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else json.dumps(value).strip('"')


def shown_default(model: type[BaseModel], name: str) -> str:
    """Write a default as a cell."""
    if model.model_fields[name].is_required():
        return f"**{REQUIRED}**"
    text = default_text(model, name)
    return f"`{text}`" if text else ""


def type_text(model: type[BaseModel], name: str) -> str:
    """Describe the type of a field."""
    quantity = quantity_of(model, name)
    if quantity:
        unit = "size" if isinstance(quantity, Bytes) else "duration"
        least = f", at least `{quantity.text(quantity.at_least)}`" if quantity.at_least else ""
        most = f", at most `{quantity.text(quantity.at_most)}`" if quantity.at_most != type(quantity)().at_most else ""
        return f"{unit}{' or `off`' if quantity.never else ''}{least}{most}"
    if name == "kind":
        return "a [kind](#kinds)"
    field = model.model_fields[name]
    bounds = {key: getattr(mark, key) for mark in field.metadata for key in ("ge", "gt", "le") if hasattr(mark, key)}
    words = {"ge": "at least", "gt": "more than", "le": "at most"}
    limits = "".join(f", {words[key]} {bound}" for key, bound in bounds.items())
    return words_of(bare(field.annotation)) + limits


def words_of(annotation: Any) -> str:
    """Describe an annotation."""
    simple = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", SecretStr: "secret"}
    if annotation in simple:
        return simple[annotation]
    origin, args = get_origin(annotation), get_args(annotation)
    if args and type(None) in args:
        return f"{words_of(bare(next(arg for arg in args if arg is not type(None))))} or null"
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in args)
    if origin is dict:
        return f"mapping of names to {words_of(bare(args[1]))}"
    if origin is tuple:
        return f"list of {words_of(bare(args[0]))}"
    place = dict(SECTIONS).get(annotation, "")
    return f"[{place}](#{''.join(letter for letter in place.lower() if letter.isalnum() or letter == '_')})"


def cell(text: str) -> str:
    """Fit a text into a table's cell."""
    return one_line(text).replace("|", "\\|")


def one_line(text: str) -> str:
    """Join lines."""
    return " ".join(text.split())


def published() -> dict[Path, str]:
    """Make the text of every generated file."""
    pages = {DATABASES / f"{engine.scheme}.md": engine for engine in ENGINES.values()}
    pages |= {STREAMS / f"{broker.extra}.md": broker for broker in BROKERS.values()}
    return {
        SCHEMA_FILE: json.dumps(as_schema(), indent=2) + "\n",
        MARKDOWN_FILE: as_markdown(),
        EVENTS_FILE: json.dumps(event_schemas(), indent=2) + "\n",
        KINDS_FILE: with_kinds(KINDS_FILE.read_text("utf-8")),
        **{file: with_parameters(file.read_text("utf-8"), engine) for file, engine in pages.items()},
    }


def main(arguments: list[str]) -> int:
    """Compare or write; 1 when something is stale."""
    stale = [file for file, text in published().items() if not file.exists() or file.read_text("utf-8") != text]
    for file in stale:
        if "--write" in arguments:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(published()[file], "utf-8")
        sys.stdout.write(f"{'written' if '--write' in arguments else 'stale'}: {file.relative_to(ROOT)}\n")
    return 1 if stale and "--write" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
