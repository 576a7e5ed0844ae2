"""The workflows call verbs of the Makefile only, have least rights and pinned actions, and the linters can fail."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TOOLS = ROOT / ".venv-tools"
if not WORKFLOWS:
    pytest.skip("the sdist has no workflows", allow_module_level=True)
sys.path.insert(0, str(ROOT / "release"))

import workflows  # noqa: E402

NAMES = [path.name for path in WORKFLOWS]
GOOD = (ROOT / ".github/workflows/docs.yml").read_text()
BROKEN = {  # for each linter: changes, and the words with which it must refuse them
    "actionlint": {
        "runs-on: ubuntu-24.04": ("runs-on: ubuntu-99", "ubuntu-99"),
        "${{ github.ref }}": ("${{ github.reff }}", '"reff" is not defined'),
        "timeout-minutes:": ("timeout-minute:", '"timeout-minute"'),
    },
    "zizmor": {
        "@3d3c42e5aac5ba805825da76410c181273ba90b1": ("@main", "unpinned-uses"),
        "permissions: {}": ("permissions: write-all", "excessive-permissions"),
        "make pages-test": ("make ${{ github.head_ref }}", "template-injection"),
    },
}


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text())["jobs"].values())


def verbs(job: dict[str, Any]) -> list[str]:
    """Targets that the job's steps make; a matrix stands for all its values."""
    found = []
    for command in (step["run"] for step in job["steps"] if "run" in step):
        assert re.fullmatch(r'make [\w-]+|make "\$VERB"', command), command
        name = command.removeprefix("make ")
        found += job["strategy"]["matrix"]["verb"] if name == '"$VERB"' else [name]
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_every_step_is_a_verb_of_the_makefile(path: Path) -> None:
    known = set(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for job in jobs(path):
        assert not set(verbs(job)) - known


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_rights_are_least_and_actions_pinned(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    assert content["permissions"] == {}
    assert content["concurrency"]
    for job in jobs(path):
        assert job["timeout-minutes"]
        assert job["permissions"]
        uses = [step["uses"] for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action) for action in uses)
    assert not re.search(r"uses: \S+ *$", path.read_text(), re.MULTILINE), "an action without its version"


def test_one_commit_per_action_in_all_workflows() -> None:
    """Two digests of one action mean that an update reached only some files."""
    found = re.findall(r"uses: (\S+)@(\w{40}) # (v[\d.]+)", "".join(path.read_text() for path in WORKFLOWS))
    assert len({name for name, _, _ in found}) == len(set(found))


def test_only_the_publishing_job_may_identify_itself_to_the_index() -> None:
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    with_identity = {name for name, job in release.items() if "id-token" in job["permissions"]}
    assert with_identity == {"attest", "publish"}
    assert not any("run" in step for name in with_identity for step in release[name]["steps"])  # no code of the repository


def installed(name: str) -> list[str]:
    command = workflows.linters(TOOLS)[name]
    if command is None:
        pytest.skip(f"{name} is not installed: make workflows")
    return command


@pytest.mark.parametrize("name", BROKEN)
def test_the_linters_pass_the_workflows(name: str) -> None:
    assert not workflows.refused(installed(name), WORKFLOWS[0].parent)


@pytest.mark.parametrize("name", BROKEN)
def test_the_linters_refuse_a_broken_workflow(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = GOOD
    for good, (bad, _) in BROKEN[name].items():
        assert good in text
        text = text.replace(good, bad, 1)
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / "docs.yml").write_text(text)
    assert workflows.refused(installed(name), folder)
    printed = "".join(capfd.readouterr())
    assert all(words in printed for _, words in BROKEN[name].values()), printed


def test_missing_linters_are_named_and_can_be_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REQUIRE_LINTERS", raising=False)
    assert workflows.lint(tmp_path, tmp_path) == 0
    assert capsys.readouterr().err.count("NOT RUN") == 2
    monkeypatch.setenv("REQUIRE_LINTERS", "1")
    assert workflows.lint(tmp_path, tmp_path) == 2


def test_every_file_that_a_verb_needs_has_a_rule(tmp_path: Path) -> None:
    """In a fresh clone: `make -n` follows the rules without running them; a needed file without a rule ends it."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "release", tmp_path / "release")
    verbs = ["demo", "test", "check", "contents", "release-check", "lock"]
    result = subprocess.run(["make", "-n", *verbs], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
