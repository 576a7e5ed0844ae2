"""The Dockerfile and the manifest for KServe: no rights, no writable file system, probes at paths that exist."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


def instructions() -> list[tuple[str, str]]:
    """Instructions of the last stage of the Dockerfile, with their arguments."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    last = max(index for index, (name, _) in enumerate(lines) if name == "FROM")
    return [(name, arguments) for name, arguments in lines[last:]]


def test_the_image_runs_without_rights_and_without_a_shell() -> None:
    found = dict(instructions())
    assert re.fullmatch(r"\S+:\S+", found["FROM"]) and ":latest" not in found["FROM"]
    assert int(found["USER"].split(":")[0]) > 0
    assert found["ENTRYPOINT"].startswith("[") and "RUN" not in found


def test_hadolint_passes_the_dockerfile_and_refuses_a_bad_one(tmp_path: Path) -> None:
    program = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        pytest.skip("hadolint is not installed: make servers")
    bad = tmp_path / "Dockerfile"
    bad.write_text((DEPLOY / "Dockerfile").read_text() + "RUN cd /app\n")
    assert subprocess.run([program, DEPLOY / "Dockerfile"], check=False).returncode == 0
    refused = subprocess.run([program, bad], capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "DL3003" in refused.stdout


def test_the_manifest_asks_for_no_rights() -> None:
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((DEPLOY / "kserve.yaml").read_text())
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    (container,) = service["spec"]["predictor"]["containers"]
    context = container["securityContext"]
    assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    port = container["ports"][0]["containerPort"]
    for probe, path in (("readinessProbe", "/v2/health/ready"), ("livenessProbe", "/v2/health/live")):
        assert container[probe]["httpGet"] == {"path": path, "port": port}
    assert f"EXPOSE {port}" in (DEPLOY / "Dockerfile").read_text()
    drain = float(container["args"][container["args"].index("--drain") + 1])
    assert service["spec"]["predictor"]["terminationGracePeriodSeconds"] > drain + 31
