"""What a reader meets first: pages whose links lead somewhere, and workflows that run what a developer runs."""

from __future__ import annotations

import re
import tomllib
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from repository.markdown import MARKDOWN, PAGES, ROOT
from smartico_sync import __version__
from smartico_sync.cli.manual import MARKDOWN_FILE as CLI_FILE
from smartico_sync.config.reference import MARKDOWN_FILE

WIDTH = 120  # as in the code
WRITTEN = [page for page in PAGES if page not in {MARKDOWN_FILE, CLI_FILE}]  # by hand


def named(page):
    return str(page.relative_to(ROOT))


def loaded(file):
    return yaml.safe_load((ROOT / ".github" / file).read_text("utf-8"))


def runs(job):
    return [step["run"] for step in job["steps"] if "run" in step]


def triggers(workflow):
    return workflow[True]  # YAML 1.1 reads the key `on` as true


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_to_a_file(page):
    """A link to a page, a test or a folder of this repository is never dead."""
    spans = [span for token in MARKDOWN.parse(page.read_text("utf-8")) for span in token.children or ()]
    targets = [span.attrs.get("href") or span.attrs.get("src") for span in spans]
    local = [urlsplit(target) for target in targets if target]
    paths = [unquote(link.path) for link in local if not link.scheme and not link.netloc and link.path]
    assert [path for path in paths if not (page.parent / path).exists()] == []


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_prose_stays_within_its_width(page):
    """Paragraphs and list items can be read and compared without scrolling; tables, code and headings are as wide as they are."""
    text = page.read_text("utf-8")
    lines = text.splitlines()
    spans = [token.map for token in MARKDOWN.parse(text) if token.type == "paragraph_open"]
    prose = {number: lines[number] for start, end in spans for number in range(start, end)}
    assert [f"{number + 1}: {line}" for number, line in prose.items() if len(line) > WIDTH] == []


def test_a_push_and_a_pull_request_run_the_gate_as_a_developer_does():
    """One script says what must hold, here and there: `.ci/run`, as root on Debian 12."""
    workflow = loaded("workflows/ci.yml")
    assert {"push", "pull_request"} <= set(triggers(workflow))
    (job,) = workflow["jobs"].values()
    assert job["container"] == "debian:12"
    assert ".ci/run" in runs(job)
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_every_night_the_long_tests_run():
    """Torture, soak, failover and the guard of CPU are no part of the gate; they run by the clock and by hand."""
    workflow = loaded("workflows/nightly.yml")
    assert {"schedule", "workflow_dispatch"} <= set(triggers(workflow))
    (job,) = workflow["jobs"].values()
    assert job["container"] == "debian:12"
    assert job["strategy"]["matrix"]["target"] == ["torture", "soak", "bench-guard", "failover-long", "streams-long"]
    assert 'make "$TARGET"' in runs(job)
    made = (ROOT / "Makefile").read_text("utf-8")
    assert all(f"\n{target}: " in made for target in job["strategy"]["matrix"]["target"])


def test_what_we_are_made_of_is_looked_at():
    """Known vulnerabilities are asked for when the lock file changes and every day; a list of contents can be made."""
    workflow = loaded("workflows/supply-chain.yml")
    assert {"push", "schedule"} <= set(triggers(workflow))
    (job,) = workflow["jobs"].values()
    assert {"make audit", "make sbom"} <= set(runs(job))
    made = (ROOT / "Makefile").read_text("utf-8")
    assert all(f"\n{target}: " in made for target in ("audit", "sbom"))


def test_the_image_takes_others_code_by_its_hash():
    """What builds the image and what goes into it: a file that was changed on its way is not installed."""
    recipe = (ROOT / "docker" / "Dockerfile").read_text("utf-8")
    assert "--require-hashes --requirement docker/uv.txt" in recipe
    assert "uv sync --frozen" in recipe
    assert re.search(r"^ARG PYTHON_IMAGE=\S+@sha256:[0-9a-f]{64}$", recipe, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", recipe, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    pinned = (ROOT / "docker" / "uv.txt").read_text("utf-8")
    (version,) = re.findall(r"^UV_VERSION := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert pinned.startswith(f"uv=={version} ")
    assert "--hash=sha256:" in pinned


def test_the_service_can_read_its_configuration():
    """Its user is made anew at each start: the file that only root can read comes to it as a credential."""
    unit = (ROOT / "docker" / "smartico-sync.service").read_text("utf-8")
    assert "DynamicUser=yes" in unit
    assert "\nLoadCredential=views.yaml:/etc/smartico-sync/views.yaml\n" in unit
    assert "run --config %d/views.yaml\n" in unit


@pytest.mark.parametrize("name", ["ci", "nightly", "supply-chain"])
def test_a_workflow_may_only_read_and_takes_others_code_by_its_commit(name):
    """A tag can be moved to other code; a commit cannot."""
    workflow = loaded(f"workflows/{name}.yml")
    assert workflow["permissions"] == {"contents": "read"}
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert all(len(action.partition("@")[2]) == 40 for action in used)


def test_a_report_of_a_bug_says_version_engine_and_check():
    """Whoever looks at a bug first asks for these three."""
    fields = {field.get("id"): field for field in loaded("ISSUE_TEMPLATE/bug.yml")["body"]}
    for name in ("version", "engine", "check"):
        assert fields[name]["validations"]["required"] is True
    assert "smartico-sync check" in fields["check"]["attributes"]["label"]


def test_the_hooks_run_every_gate():
    """What `make check` refuses is refused before the commit."""
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    tools = {line.split()[0].rpartition("/")[2] for line in recipe.splitlines()[1:]}
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    entries = [hook["entry"] for hook in local["hooks"]]
    assert local["repo"] == "local"
    assert tools <= {entry.split()[0].rpartition("/")[2] for entry in entries}
    assert any("smartico_sync.config.reference" in entry for entry in entries)


def test_the_changelog_tells_of_this_version():
    """What the program calls itself, and what is to come, have their places."""
    spoken = [
        token.content for token in MARKDOWN.parse((ROOT / "CHANGELOG.md").read_text("utf-8")) if token.type == "inline"
    ]
    named = [line.partition(" - ")[0] for line in spoken if line.startswith("[")]
    assert named[0] == "[Unreleased]"
    assert f"[{__version__}]" in named


def test_the_chart_installs_this_version():
    """Whoever names no image tag has the program that the chart lies beside; the plain manifests name it too."""
    chart = yaml.safe_load((ROOT / "docker" / "helm" / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == __version__
    for manifests in sorted((ROOT / "docker" / "kubernetes").glob("*.yaml")):
        assert f"/smartico-sync:{__version__}" in manifests.read_text("utf-8")


def test_what_an_installation_brings_is_there():
    """The pages copy the service's unit and the alerts from the environment that `pip install` made."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert all((ROOT / file).is_file() for file in build["shared-data"])
    named = set(re.findall(r"share/smartico-sync/[a-z.-]*[a-z]", "\n".join(page.read_text("utf-8") for page in PAGES)))
    assert len(named) > 1
    assert named <= set(build["shared-data"].values())
