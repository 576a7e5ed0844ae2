"""`train`, `evaluate` and `diagnose` as real processes: what they refuse, in one line, leaving nothing behind."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from forked import Done, command

from aaptvae.cli import app
from aaptvae.files import opening
from aaptvae_training.cli import WAITING, train
from aaptvae_training.config import KEYS, TrainConfig

from .conftest import features_of

SMALL = ("--latent-dim", 3, "--hidden-dim", 8, "--epochs", 2, "--batch-size", 32, "--precision", "fp32", "--no-report")


Cli = Callable[..., Done]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a verb as a process of its own in an empty folder, and give what it printed."""
    monkeypatch.chdir(tmp_path)
    return command


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def x(rows: int = 60, **changes: float) -> np.ndarray:
    """Rows of 12 features with `r3c5=value` put at row 3, column 5."""
    table = features_of(rows)
    for place, value in changes.items():
        row, column = place[1:].split("c")
        table[int(row), int(column)] = value
    return table


TABLES = {
    "one dimension": (np.ones(5, np.float32), "has shape (5,); expected [rows, columns]"),
    "three dimensions": (np.ones((5, 2, 3), np.float32), "has shape (5, 2, 3); expected [rows, columns]"),
    "no columns": (np.ones((5, 0), np.float32), "expected 1 to"),
    "no rows": (np.ones((0, 4), np.float32), "got 0 rows: training needs at least 10"),
    "one row": (np.ones((1, 4), np.float32), "got 1 row: training needs at least 10"),
    "nan": (x(r3c5=np.nan), "row 3, column 5 is nan"),
    "infinity": (x(r7c2=-np.inf), "row 7, column 2 is -inf"),
    "both infinities": (x(r3c5=np.inf, r4c5=-np.inf), "row 3, column 5 is inf"),
    "bool": (np.ones((20, 4), bool), "features are real numbers: convert 0/1 columns"),
    "complex": (np.ones((20, 4), np.complex64), "features are real numbers: save them as float32"),
}


@pytest.mark.parametrize("name", TABLES)
def test_train_refuses_unusable_tables(name: str, cli: Cli) -> None:
    table, words = TABLES[name]
    np.save("x.npy", table)
    done = cli("train", "x.npy", "-o", "run", *SMALL)
    assert refused(done, words), done
    assert files() == ["x.npy"]


def refused(done: Done, words: str) -> bool:
    """Whether a process ended with status 1 and one line on stderr that holds these words."""
    return (
        done.status == 1 and not done.out and done.err.startswith("error: ") and done.err.count("\n") == 1 and words in done.err
    )


def test_train_refuses_a_file_that_is_not_there(cli: Cli) -> None:
    assert refused(cli("train", "absent.npy", "-o", "run"), "absent.npy cannot be read: No such file or directory")
    assert files() == []


def test_train_refuses_a_damaged_npy(cli: Cli) -> None:
    Path("x.npy").write_text("1,2,3\n4,5,6\n")
    assert refused(cli("train", "x.npy", "-o", "run"), "x.npy is not an .npy file")
    Path("y.npy").write_bytes(b"")
    assert refused(cli("train", "y.npy", "-o", "run"), "y.npy")
    assert files() == ["x.npy", "y.npy"]


def test_train_never_loads_a_pickle(cli: Cli) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, ("exploded",)

    np.save("x.npy", np.array([[Bomb()]], dtype=object), allow_pickle=True)
    assert refused(cli("train", "x.npy", "-o", "run"), "pickled Python objects, which are never loaded")
    assert files() == ["x.npy"]


def test_train_refuses_stdin_which_cannot_be_read_twice(cli: Cli) -> None:
    assert (
        cli("train", "-", "-o", "run").err
        == "error: features are read more than once, which stdin does not allow: name a file\n"
    )


def test_train_refuses_a_suffix_it_does_not_know(cli: Cli) -> None:
    Path("x.mat").write_text("")
    assert refused(cli("train", "x.mat", "-o", "run"), "x.mat has no known format")


@pytest.mark.parametrize("make", ["file", "stranger", "run"])
def test_train_replaces_nothing_without_force(make: str, cli: Cli) -> None:
    np.save("x.npy", x())
    if make == "file":
        Path("run").write_text("mine")
    else:
        Path("run").mkdir()
        Path("run", "config.json" if make == "run" else "thesis.tex").write_text("{}")
    before = [path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()]
    words = "run is not finished: continue it with the same command and --resume"
    assert refused(cli("train", "x.npy", "-o", "run", *SMALL), words if make == "run" else "run exists: add --force")
    if make != "run":
        assert cli("train", "x.npy", "-o", "run", "--force", *SMALL).status == 1
    assert [path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()] == before


def test_train_refuses_a_folder_whose_parent_is_missing(cli: Cli) -> None:
    np.save("x.npy", x())
    assert refused(cli("train", "x.npy", "-o", "no/such/run", *SMALL), "cannot be written")
    assert files() == ["x.npy"]


def test_train_refuses_a_folder_without_permission(cli: Cli) -> None:
    np.save("x.npy", x())
    # /proc takes no folders, not even from root.
    target = Path("/proc/aaptvae-run") if os.geteuid() == 0 else Path("locked/run")
    Path("locked").mkdir(mode=0o500)
    done = cli("train", "x.npy", "-o", target, *SMALL)
    assert refused(done, str(target)), done
    assert files() == ["locked", "x.npy"]


OPTIONS = {
    ("--latent-dim", 0): "latent_dim is 0, expected int >= 1",
    ("--hidden-dim", 8, "--hidden-dim", 0): "hidden_dim is [8, 0], expected int >= 1",
    ("--sigma", "banana"): "'banana' is neither a number nor one of learned, optimal, per_feature, spectral",
    ("--sigma", -1): "sigma is -1.0, expected float > 0",
    ("--dropout", 1): "dropout is 1.0, expected float < 1",
    ("--test-share", 0.7): "test_share is 0.7",
    ("--learning-rate", "nan"): "learning_rate is nan",
    ("--image-shape", "12"): "'12' is no HEIGHTxWIDTH, such as 8x8",
    ("--threads", 0): "0 is not in the range x>=1",
}


@pytest.mark.parametrize("flags", OPTIONS, ids=lambda flags: " ".join(map(str, flags)))
def test_train_refuses_an_option_out_of_range(flags: tuple[object, ...], cli: Cli) -> None:
    np.save("x.npy", x())
    done = cli("train", "x.npy", "-o", "run", *flags)
    assert (done.status, done.out) == (2, "")
    assert OPTIONS[flags] in done.err.splitlines()[-1]
    assert files() == ["x.npy"]


def test_train_refuses_pictures_of_another_size(cli: Cli) -> None:
    np.save("x.npy", x())
    words = "image shape is 5x5: expected a product of 12, the number of features"
    assert refused(cli("train", "x.npy", "-o", "run", "--image-shape", "5x5"), words)
    assert files() == ["x.npy"]


CONFIGS = {
    "latent_dmi = 3": "latent_dmi is no option: did you mean latent_dim?",
    "colour = 3": "colour is no option: expected latent_dim,",
    "latent_dim = '3'": "train.toml: latent_dim is '3', expected int, got str",
    "latent_dim = 0": "train.toml: latent_dim is 0, expected int >= 1",
    "hidden_dim = [8, 'x']": "train.toml: hidden_dim is [8, 'x'], expected int, got str",
    "linear_skip = 1": "train.toml: linear_skip is 1, expected bool, got int",
    "device = 'tpu'": "train.toml: device is 'tpu', invalid enum value",
    "[train]\nlatent_dim = 3": "train is no option",
    "latent_dim 3": "train.toml is not TOML",
}


@pytest.mark.parametrize("text", CONFIGS)
def test_train_names_the_wrong_key_of_a_configuration(text: str, cli: Cli) -> None:
    np.save("x.npy", x())
    Path("train.toml").write_text(text)
    done = cli("train", "x.npy", "-o", "run", "--config", "train.toml")
    assert refused(done, CONFIGS[text]), done
    assert files() == ["train.toml", "x.npy"]


def test_train_refuses_a_configuration_that_is_not_there(cli: Cli) -> None:
    assert refused(cli("train", "x.npy", "-o", "run", "--config", "no.toml"), "cannot read no.toml: No such file")


def test_wrong_usage_is_status_2(cli: Cli) -> None:
    assert cli("train").status == 2
    assert cli("train", "x.npy", "-o", "run", "--epochs", "many").status == 2
    assert "No such option" in cli("train", "x.npy", "-o", "run", "--latnt-dim", 3).err


def test_flags_override_the_file_and_the_file_defaults(cli: Cli) -> None:
    np.save("x.npy", x())
    Path("train.toml").write_text("latent_dim = 2\nhidden_dim = 9\nepochs = 2\nsigma = 0.8\nlikelihood = 'gaussian'\n")
    done = cli("train", "x.npy", "-o", "run", "--config", "train.toml", "--latent-dim", 3, "--no-linear-skip")
    assert (done.status, done.out) == (0, ""), done
    saved = json.loads(Path("run/config.json").read_text())["train"]
    assert {key: saved[key] for key in ("latent_dim", "hidden_dim", "epochs", "sigma", "linear_skip", "beta")} == {
        "latent_dim": 3, "hidden_dim": [9], "epochs": 2, "sigma": 0.8, "linear_skip": False, "beta": 1.0,
    }  # fmt: skip


def test_a_run_prints_figures_and_writes_no_pickle(cli: Cli) -> None:
    np.save("x.npy", x(200))
    done = cli("train", "x.npy", "-o", "run", "--image-shape", "3x4", *SMALL, "--report")
    assert (done.status, done.out) == (0, "")
    first, headline, figures = done.err.splitlines()[:3]
    assert first == "run: 20 held-out rows" and headline.endswith(".")
    assert figures.startswith("Log-likelihood") and "pPCA" in figures
    names = {path.name for path in Path("run").rglob("*") if path.is_file()}
    assert {"config.json", "best.safetensors", "metrics.jsonl", "evaluation.json", "report.html"} <= names
    assert not {name for name in names if Path(name).suffix in (".pt", ".pth", ".pkl", ".bin", ".ckpt")}
    assert files() == ["run", "x.npy"]


def test_resume_uses_the_options_of_the_run(cli: Cli) -> None:
    np.save("x.npy", features_of(300))
    assert cli("train", "x.npy", "-o", "whole", *SMALL, "--seed", 5).status == 0
    weights = Path("whole/best.safetensors").read_bytes()
    Path("whole/evaluation.json").unlink()
    assert cli("train", "x.npy", "-o", "whole", "--resume").status == 0
    assert Path("whole/best.safetensors").read_bytes() == weights and Path("whole/evaluation.json").exists()
    refused = cli("train", "x.npy", "-o", "whole", "--resume", "--seed", 6)
    assert refused.status == 1
    assert refused.err == "error: whole was begun with seed = 5, not 6: to resume, leave that option out\n"


def test_evaluate_repeats_figures_and_takes_other_files(cli: Cli, finished: Path, table: Path) -> None:
    again = json.loads(cli("evaluate", finished, "--json").out)
    assert again == json.loads((finished / "evaluation.json").read_text())
    other = cli("evaluate", finished, table)
    assert (other.status, other.err) == (0, "")
    assert other.out.startswith(f"{finished}: 600 rows of {table}")


def test_evaluate_refuses_missing_runs_and_wrong_rows(cli: Cli, finished: Path) -> None:
    assert refused(cli("evaluate", "absent"), "absent")
    np.save("narrow.npy", x()[:, :5])
    assert refused(cli("evaluate", finished, "narrow.npy"), "narrow.npy has 5 columns: this run was trained on 12")
    np.save("bad.npy", x(r3c5=np.nan))
    assert refused(cli("evaluate", finished, "bad.npy"), "row 3, column 5 is nan")


def test_diagnose_prints_bad_rows_on_stdout(cli: Cli) -> None:
    np.save("x.npy", x(r3c5=np.nan))
    done = cli("diagnose", "x.npy")
    assert (done.status, done.err) == (0, "")
    assert "  row 3, column 5 is nan\n" in done.out
    assert json.loads(cli("diagnose", "x.npy", "--json").out)["first_bad"] == [{"row": 3, "column": 5, "value": "nan"}]
    assert refused(cli("diagnose", "absent.npy"), "absent.npy cannot be read")


def test_every_option_is_a_flag_with_its_default(cli: Cli) -> None:
    text = " ".join(cli("train", "--help").out.split())
    for field in msgspec.structs.fields(TrainConfig):
        assert f"--{field.name.replace('_', '-')} " in text
    assert len(KEYS) == text.count("[default")


@pytest.mark.parametrize("verb", ["train", "evaluate", "diagnose"])
def test_help_needs_no_torch_and_shows_examples(verb: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; from aaptvae.cli import app; app.run(['{verb}', '--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  aaptvae {verb} " in done.stdout


@pytest.mark.parametrize("verb", [["train", "x.npy", "-o", "run"], ["evaluate", "run"]])
def test_without_torch_a_verb_says_what_to_install(verb: list[str], tmp_path: Path) -> None:
    code = f"import sys; sys.modules['torch'] = None; from aaptvae.cli import app; app.run({verb})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: {verb[0]} needs torch, which is not installed: {app.EXTRA}\n"
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboard_its_flag_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x())
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(SystemExit, match="1"):
        app.run(["train", "x.npy", "-o", "run", "--tensorboard", "events"])
    words = "error: --tensorboard needs tensorboard, which is not installed: pip install tensorboard\n"
    assert capsys.readouterr().err == words
    assert files() == ["x.npy"]


def test_help_lists_the_formats_that_are_read() -> None:
    page = CliRunner().invoke(train, ["--help"]).output
    assert f": .{' .'.join(opening.FORMATS)}." in " ".join(page.split())


WATCH = """
import os, sys
from aaptvae_training.cli import WAITING
class Watch:
    def find_spec(self, name, path, target=None):
        if name in ("numpy", "torch"):
            print(name, all(os.environ.get(key) == value for key, value in WAITING.items()), file=sys.stderr)
sys.meta_path.insert(0, Watch())
from aaptvae.cli import main
main()
"""


@pytest.mark.parametrize(
    "verb",
    [
        ("diagnose", "no.npy"),
        pytest.param(("train", "no.npy", "-o", "run"), marks=pytest.mark.slow),
        pytest.param(("evaluate", "no"), marks=pytest.mark.slow),
    ],
)
def test_limits_of_waiting_precede_numpy(verb: tuple[str, ...], tmp_path: Path) -> None:
    """OpenBLAS and OpenMP read their environment once, when numpy and torch are imported."""
    given = {name: value for name, value in os.environ.items() if name not in WAITING}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *verb], env=given, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "numpy True" in done.stderr, done.stderr
    assert "False" not in done.stderr
