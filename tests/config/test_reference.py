"""The published schema and reference."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
import yaml

from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.config import models, reference
from smartico_sync.config.descriptions import descriptions
from smartico_sync.config.event_schemas import event_schemas
from smartico_sync.config.models import Configuration

from .test_load import DESIGN


def test_the_published_files_are_fresh():
    """Schema and reference say what the models say; mend with `python -m smartico_sync.config.reference --write`."""
    for file, text in reference.published().items():
        assert file.read_text("utf-8") == text, f"{file.name} is stale"
    assert reference.main([]) == 0


def test_the_schemas_of_events_take_what_the_kinds_take():
    """A message with the columns that a kind needs is valid; one without the player is not."""
    schemas = event_schemas()
    assert set(schemas["$defs"]) == set(KINDS)
    for name, known in KINDS.items():
        schema = schemas["$defs"][name]
        jsonschema.Draft202012Validator.check_schema(schema)
        taken = jsonschema.Draft202012Validator(schema)
        message = {alternatives[0]: "1" for alternatives in known.required} | {"user_ext_id": 7, "ext_brand_id": "b"}
        taken.validate(message)
        with pytest.raises(jsonschema.ValidationError):
            taken.validate({"ext_brand_id": "b"})


def test_every_key_is_documented():
    """No key without a meaning, in every model, and no model without a place in the reference."""
    listed = {model for model, _ in reference.SECTIONS}
    made = {getattr(models, name) for name in models.__all__}
    every = {model for model in made if isinstance(model, type) and issubclass(model, models.Model)} - {models.Model}
    assert listed == every
    for model in listed:
        assert all(descriptions(model).get(name) for name in model.model_fields), model


@pytest.mark.parametrize("text", [DESIGN, (reference.ROOT / "config" / "views.yaml").read_text("utf-8")])
def test_editors_accept_the_examples(text):
    """The schema finds nothing wrong with what the daemon loads."""
    schema = reference.as_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(text), schema)


def test_editors_accept_what_the_documentation_shows():
    """Whole files, sections, and keys of a view or a source, each by the schema of its place."""
    schema = reference.as_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    places = [schema, *(schema["$defs"][name] for name in ("View", "SourceConfig"))]
    pages = [reference.ROOT / "README.md", *sorted((reference.ROOT / "docs").rglob("*.md"))]
    fragments = [
        (page.name, text)
        for page in pages
        for text in re.findall(r"```ya?ml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]
    assert len(fragments) > 20
    for page, text in fragments:
        shown = yaml.safe_load(text)
        for each in shown if isinstance(shown, list) else [shown]:
            keys = [place["properties"] for place in places if set(each) <= set(place["properties"])]
            assert keys or set(each) <= {"rule_files", "scrape_configs"}, (
                page,
                each,
            )  # the latter are Prometheus's own
            for name, value in each.items() if keys else ():
                jsonschema.Draft202012Validator({"$defs": schema["$defs"], **keys[0][name]}).validate(value)


@pytest.mark.parametrize(
    ("path", "value"),
    [("every", 5), ("every", "5"), ("kind", "user"), ("evry", "5s"), ("name", "1x"), ("max_age", "soon")],
)
def test_editors_refuse_what_the_daemon_refuses(path, value):
    """A typing error is seen while typing."""
    document = yaml.safe_load(DESIGN)
    document["views"][0][path] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, reference.as_schema())


def test_defaults_read_as_people_write_them():
    """Durations and sizes have defaults with units."""
    view = reference.as_schema()["$defs"]["View"]["properties"]
    assert view["every"]["default"] == "5s"
    assert view["lookback"]["default"] == "10m"
    assert reference.as_schema()["$defs"]["Smartico"]["properties"]["batch_bytes"]["default"] == "10MB"
    assert json.loads(json.dumps(reference.as_schema()))["required"] == ["version", "smartico", "sources", "views"]
    assert Configuration.model_fields["views"].is_required()


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("postgres://h/d", True), ("mysql+pymysql://h/d", True), ("mongodb+srv://h/d", True), ("${DB_URL}", True),
        ("mysqll://h/d", False), ("h/d", False),
    ],
)  # fmt: skip
def test_editors_know_the_engines(url, fine):
    """A scheme that nothing reads is seen while typing."""
    document = yaml.safe_load(DESIGN)
    next(iter(document["sources"].values()))["url"] = url
    assert jsonschema.Draft202012Validator(reference.as_schema()).is_valid(document) == fine
