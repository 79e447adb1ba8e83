"""What the manual says of engines, from their declarations: the table of all, and each page's table of parameters."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from smartico_sync.catalogue.engines import BROKERS, ENGINES

if TYPE_CHECKING:
    from smartico_sync.catalogue.engines import Engine, Parameter

__all__ = ["BEGIN", "END", "SCHEME_PATTERN", "broker_table", "engine_table", "with_parameters"]

WIDTH = 120  # columns of prose in the manual
BEGIN, END = "<!-- parameters -->", "<!-- /parameters -->"
QUERIES = {"select": "a SELECT", "aggregate": "an aggregate command"}
NAMES = "|".join(name for engine in (*ENGINES.values(), *BROKERS.values()) for name in (engine.scheme, *engine.aliases))
# For editors. A variable may hold what comes first; the daemon also takes capital letters.
SCHEME_PATTERN = rf"^(\$\{{|({NAMES})(\+[a-z0-9_]+)?://)"


def engine_table() -> str:
    """Describe every engine in a line."""
    rows = [engine_row(engine) for engine in ENGINES.values()]
    return "\n".join(["| scheme | also written | install | port | `query:` |", "|---|---|---|---|---|", *rows]) + "\n"


def broker_table() -> str:
    """Describe every broker in a line."""
    rows = [
        f"| [`{broker.scheme}`](streams/{broker.extra}.md) | {', '.join(map(code, broker.aliases))} | "
        f"`smartico-sync[{broker.extra}]` | {broker.port} |"
        for broker in BROKERS.values()
    ]
    return "\n".join(["| scheme | also written | install | port |", "|---|---|---|---|", *rows]) + "\n"


def engine_row(engine: Engine) -> str:
    """Describe one engine."""
    also = [*engine.aliases, *(f"{engine.scheme}+{variant}" for variant in engine.variants)]
    install = f"`smartico-sync[{engine.extra}]`" if engine.extra else "built in"
    ports = ", ".join([*([str(engine.port)] if engine.port else []), *tls_port(engine)])
    page = f"[`{engine.scheme}`](databases/{engine.scheme}.md)"
    return f"| {page} | {', '.join(map(code, also))} | {install} | {ports} | {QUERIES[engine.query]} |"


def tls_port(engine: Engine) -> list[str]:
    """Describe the port of TLS, where it is another one."""
    return [f"with TLS {engine.tls_port}"] if engine.tls_port else []


def parameter_table(engine: Engine) -> str:
    """Describe every parameter of an engine."""
    applied = [each for each in engine.parameters if each.use == "applied"]
    if not applied:
        return f"{engine.title} takes no parameters.\n"
    rows = [parameter_row(each) for each in applied]
    table = "\n".join(["| parameter | meaning | default |", "|---|---|---|", *rows]) + "\n"
    ignored = ", ".join(f"{code(each.name)} ({each.meaning})" for each in engine.parameters if each.use == "ignored")
    if not ignored:
        return table
    told = fill(f"Taken, and without effect: {ignored}.", WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"{table}\n{told}\n"


def parameter_row(parameter: Parameter) -> str:
    """Describe one parameter."""
    also = f" (or {', '.join(map(code, parameter.others))})" if parameter.others else ""
    default = code(parameter.default) if parameter.default else ""
    return f"| {code(parameter.name)}{also} | {parameter.meaning} | {default} |"


def with_parameters(page: str, engine: Engine) -> str:
    """Give a page with its table written anew between the two marks. ValueError when a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page of {engine.title} has no {END if begin else BEGIN}")
    return f"{before}{BEGIN}\n{parameter_table(engine)}{END}{after}"


def code(text: str) -> str:
    """Write a name as code."""
    return f"`{text}`"
