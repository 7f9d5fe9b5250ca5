"""The manifest and the image of `deploy/` (G192)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from fastiam.cli.verbs.serve import command
from fastiam.server import config, start_checks

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = [*yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text())]
MAPS: dict[str, dict[str, str]] = {each["metadata"]["name"]: each["data"] for each in MANIFEST if each["kind"] == "ConfigMap"}
POD: dict[str, Any] = next(each for each in MANIFEST if each["kind"] == "Deployment")["spec"]["template"]["spec"]
SIDECAR = POD["initContainers"][0]
DOCKERFILE = DockerfileParser(fileobj=(ROOT / "deploy/Dockerfile").open("rb"), cache_content=True)


@pytest.mark.parametrize("resource", MANIFEST, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_manifest_fits_the_schema_of_kubernetes(resource: dict[str, Any]) -> None:
    assert kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True) is not None


def test_options_of_manifest_and_image_exist() -> None:
    entry = json.loads(re.search(r"^CMD (.*)$", DOCKERFILE.content, re.M)[1])  # type: ignore[index]
    known = {name for param in command.params for name in param.opts}
    for words in (SIDECAR["args"], entry):
        assert words[0] == "serve"
        assert {word for word in words if word.startswith("--")} <= known


def test_configuration_of_the_manifest_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(MAPS["fastiam-serve"]["serve.toml"])
    file.chmod(0o600)
    settings = config.load(file, {}, config.Flags())
    addresses = start_checks.prepare(settings)
    mounts = {mount["mountPath"] for mount in SIDECAR["volumeMounts"]}
    assert str(addresses["main"][0].path and addresses["main"][0].path.parent) in mounts
    assert set(settings.core.source.paths) <= mounts
    assert settings.core.source.cache_bytes * 4 <= int(SIDECAR["resources"]["limits"]["memory"].removesuffix("Mi")) << 20
    assert str(Path(SIDECAR["args"][2]).parent) in mounts
    ports = {port["name"]: port["containerPort"] for port in SIDECAR["ports"]}
    assert addresses["ops"][0].port == ports["ops"]
    assert [each.uid for each in settings.core.auth.unix] == [POD["containers"][0]["securityContext"]["runAsUser"]]


def test_containers_share_the_group_of_the_socket() -> None:
    assert POD["securityContext"]["fsGroup"] == SIDECAR["securityContext"]["runAsGroup"]


def test_sidecar_runs_without_privileges() -> None:
    context = {**POD["securityContext"], **SIDECAR["securityContext"]}
    assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert "cpu" not in SIDECAR["resources"]["limits"]
    assert str(SIDECAR["securityContext"]["runAsUser"]) in DOCKERFILE.content


def test_image_runs_as_a_user_and_installs_an_extra_that_exists() -> None:
    instructions = [(each["instruction"], each["value"]) for each in DOCKERFILE.structure]
    assert ("USER", "10001") in instructions
    assert [name for name, _ in instructions].index("USER") < [name for name, _ in instructions].index("ENTRYPOINT")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\.whl\)\[(\w+)\]", DOCKERFILE.content)) <= set(extras)


def test_server_runs_as_another_user_over_files_it_cannot_write(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can start a process of another user")
    try:
        subprocess.run([sys.executable, "-c", "import numpy"], user=10001, group=10001, check=True, capture_output=True, cwd="/")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"other users may not run {sys.executable}")
    folder = tmp_path
    while folder != folder.parent:
        folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent
    (tmp_path / "directory.json").write_text(MAPS["fastiam-policies"]["directory.json"])
    settings = '[listeners.main]\naddress = "127.0.0.1:0"\n[listeners.ops]\naddress = "127.0.0.1:0"\n'
    (tmp_path / "serve.toml").write_text(settings)
    for path in tmp_path.iterdir():
        path.chmod(0o444)
    process = subprocess.Popen(
        [sys.executable, "-m", "fastiam", "serve", tmp_path / "directory.json", "--config", tmp_path / "serve.toml"],
        user=10001,
        group=10001,
        cwd="/",
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]},
    )
    assert process.stderr is not None
    try:
        first = json.loads(process.stderr.readline())
        assert first["event"] == "start"
    finally:
        process.kill()
        process.stderr.close()
        process.wait()
