"""Steps of a release notice what they are for: a difference, a missing licence, a known hole, an address of this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RELEASE = Path(__file__).parents[2] / "release"
if not RELEASE.is_dir():
    pytest.skip("the sdist has no release steps", allow_module_level=True)
sys.path.insert(0, str(RELEASE))

import build_dist  # noqa: E402
import javascript  # noqa: E402
import outside  # noqa: E402
import rebuild  # noqa: E402
import version as release_version  # noqa: E402

AUDIT = """#!{python}
print({answer!r})
"""


def folder_with(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}.whl").write_text(text)
    return path


def test_a_changed_or_missing_file_is_named(tmp_path: Path) -> None:
    first = folder_with(tmp_path / "a", same="1", changed="1", gone="1")
    second = folder_with(tmp_path / "b", same="1", changed="2", new="1")
    assert rebuild.differences(first, second) == ["changed.whl", "gone.whl", "new.whl"]


def test_a_page_that_differs_is_named() -> None:
    first, second = {"same": b"1", "changed": b"1", "gone": b"1"}, {"same": b"1", "changed": b"2", "new": b"1"}
    assert javascript.differences(first, second) == ["changed", "gone", "new"]


def test_checksums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "a", b="", a="x")
    build_dist.write_sums(folder)
    build_dist.write_sums(folder)  # its own file is not listed
    assert (folder / "SHA256SUMS").read_text() == (
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  a.whl\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b.whl\n"
    )


def test_a_folder_without_commits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    with pytest.raises(SystemExit, match="set SOURCE_DATE_EPOCH"):
        build_dist.commit_time(tmp_path)


def test_the_sbom_names_no_file_of_this_machine() -> None:
    urls = [{"url": "file:///home/x.whl"}, {"url": "https://pypi.org"}]
    bill = outside.without_local_files(json.dumps({"components": [{"externalReferences": urls}, {}]}))
    assert json.loads(bill)["components"][0] == {"externalReferences": urls[1:]}


@pytest.mark.parametrize(
    ("answer", "strict", "status", "words"),
    [
        ({"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}]}, False, 1, "a 1: CVE-1"),
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, True, 0, "none"),
        ({"dependencies": [{"name": "a", "skip_reason": "?"}]}, False, 0, "NOT CHECKED"),
        ({"dependencies": [{"name": "a", "skip_reason": "?"}]}, True, 1, "NOT CHECKED"),
        ("no JSON", True, 1, "NOT CHECKED"),
    ],
)
def test_known_holes_end_the_release(answer: object, strict: bool, status: int, words: str, tmp_path: Path) -> None:
    """The program stands in for pip-audit: its answer depends on an index."""
    audit = tmp_path / "audit"
    audit.write_text(AUDIT.format(python=sys.executable, answer=answer if isinstance(answer, str) else json.dumps(answer)))
    audit.chmod(0o755)
    command = [sys.executable, str(RELEASE / "holes.py"), str(audit), str(tmp_path)]
    env = {"REQUIRE_AUDIT": "1"} if strict else {}
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == status, result.stderr
    assert words in result.stdout + result.stderr


def test_a_distribution_without_licence_is_an_error(tmp_path: Path) -> None:
    about = tmp_path / "bare-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bare\nVersion: 1.0\n")
    command = [sys.executable, "-S", str(RELEASE / "licences.py")]
    result = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (result.returncode, "bare 1.0: NONE STATED" in result.stdout) == (1, True)


CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-01-01\n\n- A line.\n\n## [1.1.0]\n\n- Old.\n"


@pytest.mark.parametrize(
    ("tag", "version", "status", "words"),
    [
        ("v1.2.0", "1.2.0", 0, "- A line."),
        ("v1.3.0", "1.2.0", 1, "expected the tag v1.2.0"),
        ("v1.3.0", "1.3.0", 1, "no text under ## [1.3.0]"),
    ],
)
def test_the_tag_is_the_version_with_notes(
    tag: str, version: str, status: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    assert release_version.main(tmp_path, tag, show=True) == status
    printed = "".join(capsys.readouterr())
    assert words in printed
    assert "Old" not in printed
