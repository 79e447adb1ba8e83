"""Load `views.yaml`: every problem of the file at once, each with line and column, found and expected."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import Struct
from pydantic import BaseModel, SecretStr, ValidationError

from smartico_sync.config import environment_file
from smartico_sync.config.checks import Parts, check, key_problem, public_key_problem, webhook
from smartico_sync.config.document import Document, parse
from smartico_sync.config.models import AlertReceiver, Configuration, Health, Pii, Smartico, SourceConfig, Tracing, View
from smartico_sync.config.problems import Loc, Problem, dotted
from smartico_sync.config.secret_files import Shape, cleaned, password_of, read_secret, with_password
from smartico_sync.config.service_copy import RESTART, is_copy, original
from smartico_sync.config.state_checks import is_server, state_problems
from smartico_sync.errors import ConfigError, SecretsMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SecretFiles", "load"]

M = TypeVar("M", bound=BaseModel)
SecretFiles = Literal[
    "needed",
    "passed over",  # where they are of no use: for who only asks what is, also while a rotation went wrong
]


def load(
    path: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    warnings: list[str] | None = None,
    secrets: SecretFiles = "needed",
) -> Configuration:
    """Read, check and complete a configuration.

    Promised of the result: every secret is filled in (`token`, `key`, `sources.*.url`), also those that files hold, unless
    `secrets` in files of no use are passed over;
    `state` and the `*_file` paths are absolute. `warnings` collects what is worth telling and stops nothing, one
    sentence each. Raises SecretsMissing where only files of secrets are not there yet, and ConfigError, with one line per problem, `file:line:column: path: found, expected`; no line holds
    a secret.
    """
    text = read(path)
    document = parse(text, environ)
    problems = list(document.problems)
    if document.data is None and not problems:
        problems.append(Problem((), "the file is empty; config/views.minimal.yaml is one to begin with"))
    configuration: Configuration | None = None
    if document.data is not None:
        try:
            configuration = Configuration.model_validate(document.data)
        except ValidationError as error:
            from smartico_sync.config.explain import explained  # noqa: PLC0415 - only where there is something to explain

            problems += explained(error, document)
        if configuration is not None:
            problems += state_problems(configuration)
        parts = valid_parts(document.data) if configuration is None else all_parts(configuration, document.data)
        problems += check(parts)
        of_files = fill(parts, path.parent, warnings if warnings is not None else [])
        problems += [each for each in of_files if secrets == "needed" or each.kind == "mistake"]
        if configuration is not None and not problems:
            if warnings is not None and (warning := world_readable(path, text, configuration)):
                warnings.append(warning)
            return configuration.model_copy(
                update={
                    "smartico": parts.smartico,
                    "pii": parts.pii,
                    "health": parts.health or configuration.health,
                    "alerts": parts.alerts,
                    "sources": parts.sources,
                    "state": configuration.state
                    if is_server(configuration.state)
                    else absolute(path.parent, configuration.state),
                    "cluster": configuration.cluster.model_copy(
                        update={
                            "key_file": configuration.cluster.key_file
                            and absolute(path.parent, configuration.cluster.key_file)
                        }
                    ),
                    "state_key_file": configuration.state_key_file
                    and absolute(path.parent, configuration.state_key_file),
                }
            )
    failure = SecretsMissing if all(problem.kind == "absent" for problem in problems) else ConfigError
    raise failure(told(original(path, environ), document, problems), hint=next_step(path, environ, problems))


def next_step(path: Path, environ: Mapping[str, str], problems: list[Problem]) -> str:
    """What mends the problems: the file, or what it takes from the environment; and how that is tried."""
    copied, edited = is_copy(path, environ), original(path, environ)
    lacking = {problem.loc for problem in problems if problem.kind == "no variable"}
    step = f"correct {edited}"
    if lacking.issuperset(problem.loc for problem in problems):
        variables = edited.with_name(environment_file.NAME)
        step = f"write NAME=value into {variables}, a line for each of them, or export them"
        if os.path.isdir(variables):  # noqa: PTH112 - Path's own raises where this user may not look
            step = f"{variables} is a folder: put a file in its place, {step}"
        elif not copied and os.access(variables, os.F_OK) and not os.access(variables, os.R_OK):
            step = f"{variables} is not for this user to read: type the command as root, or export them"
    return f"{step}, then: smartico-sync check --config {edited}{f'; then: {RESTART}' if copied else ''}"


def world_readable(path: Path, text: str, configuration: Configuration) -> str:
    """Say that secrets stand in the file itself and that every user of the machine can read it, or nothing."""
    smartico, pii = configuration.smartico, configuration.pii
    given = [smartico.token, pii.key, *(brand.token for brand in smartico.brands.values())]
    given += [receiver.url for receiver in configuration.alerts.values()]
    given += configuration.tracing.headers.values()
    secrets = [secret.get_secret_value() for secret in given if secret is not None]
    secrets += [password for source in configuration.sources.values() if (password := password_of(source.url))]
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if not mode & stat.S_IROTH or not any(secret in text for secret in secrets):
        return ""
    return (
        f"{path} holds secrets and can be read by every user of this machine: chmod 600 it, or write them as ${{NAME}}, "
        "`token_file`, `key_file` or `password_file`"
    )


def read(path: Path) -> str:
    """Return the file's text; ConfigError when there is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration {path}",
            hint="give it with --config FILE; `smartico-sync init --url …` writes a first one",
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}:1: not UTF-8", hint=f"save {path} as UTF-8") from None
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}",
            hint=f"type the command as root, or make {path} readable for this user",
        ) from None


def told(path: Path, document: Document, problems: list[Problem]) -> str:
    """Write the problems in the order of the file; of several at one place only the first that was found."""
    first: dict[tuple[Loc, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.loc or (str(problem.place),), problem.at), problem)
    placed = sorted(((document.place(problem), problem) for problem in first.values()), key=lambda pair: pair[0])
    lines = [
        f"{path}:{place.line}:{place.column}: {dotted(problem.loc) + ': ' if problem.loc else ''}{problem.text}"
        for place, problem in placed
    ]
    return lines[0] if len(lines) == 1 else f"{path} has {len(lines)} problems:\n  " + "\n  ".join(lines)


def valid_parts(data: Any) -> Parts:
    """Validate each section by itself, so that one mistake hides no other."""
    top = data if isinstance(data, dict) else {}
    sources = top.get("sources")
    sources = sources if isinstance(sources, dict) else {}
    views = top.get("views")
    alerts = top.get("alerts")
    each_alert = {
        name: valid(AlertReceiver, each) for name, each in (alerts if isinstance(alerts, dict) else {}).items()
    }
    each_view = {index: valid(View, view) for index, view in enumerate(views if isinstance(views, list) else [])}
    each_source = {name: valid(SourceConfig, source) for name, source in sources.items()}
    return Parts(
        smartico=valid(Smartico, top.get("smartico")),
        pii=valid(Pii, top.get("pii")),
        health=valid(Health, top.get("health")),
        alerts={name: receiver for name, receiver in each_alert.items() if receiver},
        tracing=valid(Tracing, top.get("tracing")) if top.get("tracing") else None,
        sources={name: source for name, source in each_source.items() if source},
        views={index: view for index, view in each_view.items() if view},
        source_names=frozenset(sources),
        view_names=texts(views, "name"),
        view_sources=texts(views, "source"),
    )


def all_parts(configuration: Configuration, data: dict[str, Any]) -> Parts:
    """The same of a configuration whose sections are all valid."""
    return Parts(
        smartico=configuration.smartico,
        pii=configuration.pii,
        health=configuration.health,
        alerts=dict(configuration.alerts),
        tracing=configuration.tracing if data.get("tracing") else None,
        sources=dict(configuration.sources),
        views=dict(enumerate(configuration.views)),
        source_names=frozenset(configuration.sources),
        view_names={index: view.name for index, view in enumerate(configuration.views)},
        view_sources={index: view.source for index, view in enumerate(configuration.views)},
    )


def texts(views: Any, key: str) -> dict[int, str]:
    """Collect one text of every view, also of those that are not valid."""
    listed = enumerate(views if isinstance(views, list) else [])
    return {index: view[key] for index, view in listed if isinstance(view, dict) and isinstance(view.get(key), str)}


def valid(model: type[M], value: Any) -> M | None:
    """Return the section, or None when the models refuse it."""
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def absolute(base: Path, name: str) -> str:
    """Resolve a path of the configuration, which is relative to its file."""
    return str((base / name).absolute())


class Files(Struct, frozen=True):
    """Reads secret files beside the configuration."""

    base: Path
    problems: list[Problem]
    warnings: list[str]

    def into(self, section: M, loc: Loc, name: str) -> M:
        """Return the section with the secret `name`, also from `<name>_file`, whose path becomes absolute."""
        shape: Shape = "token" if name == "token" else "text"
        given: SecretStr | None = getattr(section, name)
        if given is not None and shape != "token":
            return section
        if given is not None:
            found = cleaned(given.get_secret_value().encode("utf-8", "surrogatepass"), shape)
            if found.problem:
                self.problems.append(Problem((*loc, name), f"the {name} {found.problem}"))
            return section if found.value is None else section.model_copy(update={name: found.value})
        value, file = self.secret((*loc, f"{name}_file"), getattr(section, f"{name}_file"), shape)
        return section if value is None else section.model_copy(update={name: value, f"{name}_file": file})

    def secret(self, loc: Loc, name: str | None, shape: Shape) -> tuple[SecretStr | None, str]:
        """Read one file; remember what is wrong with it."""
        if name is None:
            return None, ""
        file = absolute(self.base, name)
        found = read_secret(Path(file), shape)
        if found.problem:
            self.problems.append(Problem(loc, found.problem, kind="absent" if found.absent else "no secret"))
        if found.warning:
            self.warnings.append(f"{dotted(loc)}: {found.warning}")
        return found.value, file


def fill(parts: Parts, base: Path, warnings: list[str]) -> list[Problem]:
    """Put the secrets that files hold into the sections, and judge the key."""
    files = Files(base, [], warnings)
    if parts.smartico:
        brands = {
            name: files.into(brand, ("smartico", "brands", name), "token")
            for name, brand in parts.smartico.brands.items()
        }
        parts.smartico = files.into(parts.smartico, ("smartico",), "token").model_copy(update={"brands": brands})
    if parts.pii:
        given = "key" if parts.pii.key is not None else "key_file"
        parts.pii = files.into(parts.pii, ("pii",), "key")
        wrong = key_problem(parts.pii) or (public_key_problem(parts.pii, parts.smartico) if parts.smartico else "")
        if wrong:
            files.problems.append(Problem(("pii", given), wrong))
    if parts.health:
        parts.health = files.into(parts.health, ("health",), "token")
    for name, receiver in parts.alerts.items():
        filled = parts.alerts[name] = files.into(receiver, ("alerts", name), "url")
        if receiver.url is None and filled.url is not None and not webhook(filled.url):
            files.problems.append(
                Problem(("alerts", name, "url_file"), "expected a file that holds an http or https URL")
            )
    for name, source in parts.sources.items():
        if source.password_file is None:
            continue
        try:
            with_password(source.url, SecretStr(""))
        except ValueError as error:
            files.problems.append(
                Problem(("sources", name, "url"), f"expected {error}, because `password_file` is set")
            )
            continue
        password, file = files.secret(("sources", name, "password_file"), source.password_file, "line")
        if password is not None:
            url = with_password(source.url, password)
            parts.sources[name] = source.model_copy(update={"url": url, "password_file": file})
    return files.problems
