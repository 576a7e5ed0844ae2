"""The programs of docs/recipes.md on the real engines: each row once, with the bits of `embed`, without the bundle's folder.

ENGINE_ROWS is how many rows; `make engines` gives each engine an environment of its own.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import aaptvae

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROOT = Path(__file__).parents[2]
ROWS = int(os.environ.get("ENGINE_ROWS", "30000"))
GROUP = 10_000  # rows of a row group
PROGRAMS = dict(re.findall(r"^```python (\w+)\n(.*?)^```$", (ROOT / "docs/recipes.md").read_text(), re.DOTALL | re.MULTILINE))
PACKAGES = {"spark": "pyspark", "spark_train": "pyspark", "ray_train": "ray"}
TRAININGS = ("ray_train", "spark_train")
DIGITS = ROOT / "artifacts/digits"
DISTRIBUTED = ("ray", "spark")  # these run in processes that they replace


def engine(name: str) -> object:
    """The engine's name, skipped where it is not installed."""
    package = PACKAGES.get(name, name)
    missing = importlib.util.find_spec(package) is None
    marks = [pytest.mark.skipif(missing, reason=f"{package} is not installed: make engines")]
    if package == "pyspark":
        marks.append(pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs java"))
    if name == "torch":  # which is there for other tests too
        marks.append(pytest.mark.skipif("ENGINE_ROWS" not in os.environ, reason="takes ten seconds: make engines"))
    return pytest.param(name, marks=marks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """rows.parquet, with ids and 64 features in single precision."""
    made = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(made / "rows.parquet", pa.schema({"id": pa.string(), "x": pa.list_(pa.float32())})) as writer:
        for start in range(0, ROWS, GROUP):
            x = rng.random((min(GROUP, ROWS - start), 64), np.float32)
            lists = pa.ListArray.from_arrays(np.arange(0, x.size + 1, 64, dtype=np.int32), pa.array(x.ravel()))
            ids = [f"row {number}" for number in range(start, start + len(x))]
            writer.write_table(pa.table({"id": ids, "x": lists}, schema=writer.schema))
    return made


def run(program: str, folder: Path, cwd: Path) -> tuple[float, float]:
    """Seconds and GB of the largest process of a program beside rows.parquet and a copy of the bundle."""
    (cwd / "rows.parquet").symlink_to(folder / "rows.parquet")
    shutil.copytree(DIGITS, cwd / "artifacts/digits")
    (cwd / "program.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "PYSPARK_PYTHON": sys.executable}
    environment |= {"HF_HOME": str(cwd / "cache"), "HF_HUB_OFFLINE": "1"}
    start = time.monotonic()
    with (cwd / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "program.py"], cwd=cwd, env=environment, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)  # the memory of this program, not of others before it
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (cwd / "log").read_text()[-4000:]
    return time.monotonic() - start, used.ru_maxrss / 1e6


@pytest.fixture(scope="module")
def bare(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds of the program without an engine, for a benchmark."""
    return run(PROGRAMS["pyarrow"], folder, tmp_path_factory.mktemp("bare"))[0] if "ENGINE_ROWS" in os.environ else np.nan


def check(folder: Path, cwd: Path) -> None:
    """Every row of rows.parquet is in latents.parquet once, with the bits of `embed`."""
    found, given = pq.read_table(cwd / "latents.parquet").sort_by("id"), pq.read_table(folder / "rows.parquet").sort_by("id")
    assert found.column_names == ["id", "mu"] and found["id"].cast(pa.string()).equals(given["id"])
    x = features(given)
    mu = found["mu"].combine_chunks().flatten().to_numpy().reshape(-1, 16)
    assert np.array_equal(mu, aaptvae.load(DIGITS).embed(x))


def features(rows: pa.Table) -> np.ndarray:
    return rows["x"].combine_chunks().flatten().to_numpy().reshape(-1, 64)


def check_total(folder: Path, cwd: Path) -> None:
    """The workers of the DataLoader gave each row once."""
    mu = aaptvae.load(DIGITS).embed(features(pq.read_table(folder / "rows.parquet")))
    np.testing.assert_allclose(np.load(cwd / "total.npy"), mu.sum(0, dtype=np.float64), rtol=1e-9)


def check_neighbours(folder: Path, cwd: Path) -> None:
    """The neighbours of the first hundred rows, in any order, are those of all distances."""
    vectors = aaptvae.load(DIGITS).embed(features(pq.read_table(folder / "rows.parquet")), view="similarity")
    vectors = vectors.astype(np.float64)
    found = pq.read_table(cwd / "neighbours.parquet")["neighbours"].to_pylist()
    shared = 0
    for number, ids in enumerate(found):
        nearest = np.argpartition(np.square(vectors - vectors[number]).sum(1), 9)[:10]
        shared += len({f"row {place}" for place in nearest} & set(ids))
    assert len(found) == 100 and shared >= 995  # single precision may exchange the last ones


CHECKS = {"torch": check_total, "faiss": check_neighbours}


def after_encoder(program: str, lines: str) -> str:
    """The program with further lines after the one that makes the encoder, or stores the bundle."""
    changed, count = re.subn(
        r"^( *)((?:encoder = |mlflow.pyfunc.save_model).*\n)",
        lambda m: m[0] + "".join(f"{m[1]}{line}\n" for line in lines.split("\n")),
        program,
        flags=re.MULTILINE,
    )
    assert count == 1
    return changed


@pytest.mark.parametrize("name", [*map(engine, sorted(PROGRAMS.keys() - set(TRAININGS)))])
def test_each_row_is_there_once_with_the_bits_of_embed(name: str, folder: Path, bare: float, tmp_path: Path) -> None:
    program = after_encoder(PROGRAMS[name], "import shutil\nshutil.rmtree('artifacts', ignore_errors=True)")
    seconds, memory = run(program, folder, tmp_path)
    CHECKS.get(name, check)(folder, tmp_path)
    print(f"| {name} | {seconds:.1f} | {ROWS / seconds:,.0f} | {memory:.2f} GB | {seconds / bare:.1f} |")


@pytest.mark.parametrize("name", [*map(engine, TRAININGS)])
def test_a_run_of_two_processes_can_be_exported(name: str, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    seconds, memory = run(PROGRAMS[name], folder, tmp_path)
    command = [sys.executable, "-m", "aaptvae", "export", str(tmp_path / "run"), "-o", str(tmp_path / "bundle")]
    subprocess.run(command, check=True, capture_output=True)
    mu = aaptvae.load(tmp_path / "bundle").embed(features(pq.read_table(folder / "rows.parquet"))[:100])
    assert mu.shape == (100, 16) and mu.std() > 0.1
    print(f"| {name} | {seconds:.1f} s | {ROWS:,} rows, 5 epochs | {memory:.2f} GB |")


@pytest.mark.parametrize("name", [*map(engine, DISTRIBUTED)])
def test_a_killed_worker_loses_and_doubles_no_row(name: str, folder: Path, tmp_path: Path) -> None:
    lines = f"from killed_once import KilledOnce\nencoder = KilledOnce(encoder, {str(tmp_path / 'killed')!r})"
    run(after_encoder(PROGRAMS[name], lines), folder, tmp_path)
    assert (tmp_path / "killed").exists()
    check(folder, tmp_path)
