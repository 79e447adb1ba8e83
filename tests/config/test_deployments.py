"""What docker/ ships for two machines: configurations that are read without a word, and pods that fit the image."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from config.conftest import ENVIRON
from smartico_sync.config.load import load

DOCKER = Path(__file__).parents[2] / "docker"
ENVIRONMENT = ENVIRON | {"SMARTICO_URL": "https://apis6.smartico.ai/api/external/events/v2", "STATE_PASSWORD": "st-1"}
MANIFESTS = ("shared-state", "state-file")


def manifests(name):
    """What one file has, by kind."""
    text = (DOCKER / "kubernetes" / f"{name}.yaml").read_text("utf-8")
    return {each["kind"]: each for each in yaml.safe_load_all(text) if each}


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_views_of_the_manifests_are_read(tmp_path, name):
    """Nothing is refused or odd; each state has a secret that is kept apart, and the probes reach the endpoint."""
    found = manifests(name)
    config = tmp_path / "views.yaml"
    config.write_text(found["ConfigMap"]["data"]["views.yaml"], "utf-8")
    warnings = []
    read = load(config, environ=ENVIRONMENT, warnings=warnings)
    assert warnings == []
    assert read.health.listen == "0.0.0.0:8080"
    workload = found["Deployment" if name == "shared-state" else "StatefulSet"]
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    key = read.cluster.key_file or read.state_key_file
    assert Path(key).parent.as_posix() in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_pod_is_the_user_of_the_image(name):
    """The ids of the Dockerfile, so that secrets and volumes can be read; no rights beyond that."""
    user, group = re.search(r"^USER (\d+):(\d+)$", (DOCKER / "Dockerfile").read_text("utf-8"), re.MULTILINE).groups()
    found = manifests(name)
    pod = (found.get("Deployment") or found["StatefulSet"])["spec"]["template"]["spec"]
    secured = pod["securityContext"]
    assert (secured["runAsUser"], secured["runAsGroup"], secured["fsGroup"]) == (int(user), int(group), int(group))
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_two_members_need_no_volume_and_one_has_its_own():
    """The state of two is in PostgreSQL; that of one is on a volume that no other pod may use at the same time."""
    shared, alone = manifests("shared-state")["Deployment"]["spec"], manifests("state-file")["StatefulSet"]["spec"]
    assert shared["replicas"] == 2
    assert not any("persistentVolumeClaim" in volume for volume in shared["template"]["spec"]["volumes"])
    assert alone["replicas"] == 1
    assert alone["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_the_members_of_the_compose_file_differ_from_the_one_in_their_state_alone():
    """Profile `ha` polls the same views of the same database."""
    one, two = (load(DOCKER / name, environ=ENVIRONMENT) for name in ("views.yaml", "views-ha.yaml"))
    assert two.state.startswith("postgresql://")
    assert two.model_copy(update={"state": one.state, "cluster": one.cluster}) == one
