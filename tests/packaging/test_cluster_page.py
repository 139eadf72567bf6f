"""docs/cluster.md: the manifests for Kubernetes, the script for Slurm, and the options of both."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from modelarts.cli import build

pytestmark = pytest.mark.local

PAGE = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
(MANIFESTS,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
(SCRIPT,) = re.findall(r"^```sh no-run\n(#!/bin/bash\n.*?)^```$", PAGE, re.M | re.S)
VERSION = "1.30"


def resources():
    """The manifests that Kubernetes knows itself, and a pod for each template of the cluster."""
    for manifest in yaml.safe_load_all(MANIFESTS):
        if manifest["kind"] != "RayCluster":
            yield manifest
            continue
        spec = manifest["spec"]
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}}
            yield {**pod, **group["template"]}


@pytest.mark.extended
@pytest.mark.parametrize("resource", list(resources()), ids=lambda resource: resource["kind"])
def test_manifest_follows_the_schema_of_kubernetes(resource):
    import kubernetes_validate

    kubernetes_validate.validate(resource, VERSION, strict=True)


@pytest.mark.extended
def test_misspelt_field_of_a_pod_is_noticed():
    import kubernetes_validate

    pod = list(resources())[-1]
    pod["spec"]["containers"][0]["resource"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="resource"):
        kubernetes_validate.validate(pod, VERSION, strict=True)


def test_script_for_slurm_is_one_for_bash():
    done = subprocess.run(["bash", "-n"], input=SCRIPT, text=True, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")


def test_commands_that_start_the_service_have_known_options():
    text = PAGE.replace("\\\n", " ")
    # The one of the manifest is folded, and ends at its loop.
    text = re.sub(r"\n +(--|sleep)", r" \1", text)
    commands = re.findall(r"^.*?modelarts serve (--root .*?)(?:;.*)?$", text, re.M)
    assert len(commands) == 4
    for command in commands:
        arguments = build().parse_args(["serve", *shlex.split(command)])
        assert arguments.ray_address.endswith(("6379", "$port")), command
