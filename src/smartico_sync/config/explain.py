"""What the models refuse, in an operator's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from smartico_sync.config.descriptions import descriptions
from smartico_sync.config.models import Configuration
from smartico_sync.config.problems import Loc, Problem, one_of

if TYPE_CHECKING:
    from pydantic import ValidationError

    from smartico_sync.config.document import Document

__all__ = ["explained"]

NAME_RULE = "a letter, then at most 63 letters, digits, '.', '_' or '-'"
EXPECTED = {
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "string_type": "text",
    "string_too_short": "some text",
    "string_pattern_mismatch": NAME_RULE,
    "too_short": "at least one",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
}
STRUCTURED = "; a command is written as JSON, behind `query: |`"  # where YAML itself stands there
BOUNDS = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most"), "greater_than": ("gt", "more than")}  # fmt: skip
CONTAINERS = ("model_type", "dict_type", "tuple_type")  # what stands there instead may be a secret in the wrong place


def explained(error: ValidationError, document: Document) -> list[Problem]:
    """One problem per refusal, in the order of the models."""
    items = error.errors(include_url=False, include_input=False)
    # Pydantic calls a list empty, too, when it refused every item: then the items say more.
    told = [item for item in items if item["type"] != "too_short" or not document.at(item["loc"])]
    return [problem(dict(item), document) for item in told]


def problem(item: dict[str, Any], document: Document) -> Problem:
    """Say what was found, unless it is a secret, and what is expected."""
    kind, loc = str(item["type"]), tuple(item["loc"])
    context = item.get("ctx", {})
    if kind == "missing":
        about = about_field(loc)
        return Problem(loc, f"missing{': ' + about if about else ''}", "key")
    if kind == "extra_forbidden":
        model = annotation_at(loc[:-1])
        return Problem(loc, f"unknown key; {one_of(str(loc[-1]), model_fields(model))}", "key")
    found = "found " + document.shape(loc) if kind in CONTAINERS or is_secret(loc) else document.found(loc)
    if kind == "literal_error":
        words = [str(word) for word in literals(annotation_at(loc))]
        return Problem(loc, f"{found}, {one_of(document.raw.get(loc, ''), words)}")
    if kind == "value_error":
        return Problem(loc, f"{found}, expected {context['error']}")
    if kind in BOUNDS:
        name, words_ = BOUNDS[kind]
        return Problem(loc, f"{found}, expected {words_} {context[name]}")
    more = STRUCTURED if kind == "string_type" and loc[-1] == "query" else ""
    return Problem(loc, f"{found}, expected {EXPECTED.get(kind, 'something else')}{more}")


def annotation_at(loc: Loc) -> Any:
    """Find the annotation of the value at that path; None where the models know no such path."""
    here: Any = Configuration
    for part in loc:
        here = bare(here)
        if isinstance(here, type) and issubclass(here, BaseModel):
            known = here.model_fields.get(str(part))
            here = known.annotation if known else None
        elif get_origin(here) in (dict, tuple):
            here = get_args(here)[1 if get_origin(here) is dict else 0]
        else:
            return None
    return bare(here)


def bare(annotation: Any) -> Any:
    """Strip `Annotated` and `| None`."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    others = [arg for arg in get_args(annotation) if arg is not type(None)]
    if type(None) in get_args(annotation) and len(others) == 1:
        return bare(others[0])
    return annotation


def is_secret(loc: Loc) -> bool:
    """Whether the value at that path must not be shown: a secret, or a driver option, which may be one."""
    return any(annotation_at(loc[:end]) is SecretStr for end in range(1, len(loc) + 1)) or "options" in loc


def literals(annotation: Any) -> tuple[object, ...]:
    """List the words a Literal allows."""
    return tuple(get_args(annotation))


def model_fields(model: Any) -> list[str]:
    """List the keys a model has."""
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def about_field(loc: Loc) -> str:
    """Take what the field's documentation says, as one line."""
    model = annotation_at(loc[:-1])
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return ""
    return " ".join(descriptions(model).get(str(loc[-1]), "").split()).rstrip(".").replace("`", "'")
