"""The commands `export` and `demo`: exit status, one-line errors, no partial output; one export is in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
from forked import Done, command

import aaptvae
from aaptvae.cli import app
from aaptvae.verify import verify
from aaptvae_export import ExportOptions, export_bundle
from aaptvae_training import read_run
from aaptvae_training.config import TrainConfig
from aaptvae_training.digits import DIGITS_FILE
from aaptvae_training.train_run import train


@pytest.fixture
def inside(capsys):
    """The command line in this process."""

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            app.run([str(argument) for argument in arguments])
        return Done(end.value.code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two epochs on the digits."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(DIGITS_FILE, folder, TrainConfig(latent_dim=4, hidden_dim=(16,), epochs=2, refit=False), report=False)
    return folder


def test_export_publishes_a_bundle_and_a_triton_repository(trained, tmp_path, inside):
    done = command("export", trained, "-o", tmp_path / "b", "--triton", tmp_path / "models", "--name", "tiny", "--json")
    assert done.status == 0, done.err
    report = json.loads(done.out)
    assert report["name"] == "tiny" and report["parity"]["comparisons"] > 100
    assert aaptvae.load(tmp_path / "b", sha256=report["digest"]).latent_dim == 4
    assert (tmp_path / "models" / "tiny_encoder" / "config.pbtxt").is_file()
    again = inside("export", trained, "-o", tmp_path / "b")
    assert again.status == 1 and again.err.startswith("error: ") and "--force" in again.err
    assert len(again.err.splitlines()) == 1 and not again.out


def test_runtime_figures_equal_those_of_the_run(trained, tmp_path, inside):
    assert inside("export", trained, "-o", tmp_path / "bundle").status == 0
    rows, figures = read_run(trained).heldout, json.loads((trained / "evaluation.json").read_text())["metrics"]
    vae = aaptvae.load(tmp_path / "bundle")
    for prior in ("standard", "fitted"):
        likelihood = vae.log_likelihood(rows[:1000], seed=0, prior=prior).mean()
        assert likelihood == pytest.approx(figures[f"log_likelihood_{prior}"], rel=1e-4)
    assert vae.score(rows).elbo.mean() == pytest.approx(figures["elbo"], rel=1e-4)


def test_zip_is_read_by_verify(trained, tmp_path, inside):
    done = inside("export", trained, "-o", tmp_path / "b.zip", "--zip")
    assert done.status == 0, done.err
    assert not done.out and "sha256" in done.err and "Warning" not in done.err
    assert inside("verify", tmp_path / "b.zip").status == 0


def test_export_writes_an_explorer_of_held_out_rows(trained, tmp_path, inside):
    page = ("--web", tmp_path / "site", "--web-rows", "heldout", "--image-shape", "8x8")
    done = inside("export", trained, "-o", tmp_path / "b", *page)
    assert done.status == 0, done.err
    heldout = read_run(trained).heldout
    assert f"its map shows {len(heldout)} rows, which are in that folder" in done.err
    assert np.array_equal(np.load(tmp_path / "site/rows.npy"), heldout)
    described = json.loads((tmp_path / "site/explorer.json").read_text())
    assert described["sha256"] == aaptvae.load(tmp_path / "site/bundle").digest and described["image_shape"] == [8, 8]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (["--image-shape", "8x7"], "image shape is 8x7: expected a product of 64"),
        (["--wasm", DIGITS_FILE], "is not ort-wasm"),
        (["--web-rows", "none.npy"], "none.npy cannot be read"),
    ],
)
def test_a_wrong_page_is_refused_before_the_bundle(trained, tmp_path, page, words):
    done = command("export", trained, "-o", tmp_path / "b", "--web", tmp_path / "site", *page)
    assert done.status == 1 and words in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tolerance", "0.1"], "it can only be tightened"),
        (["--compact", "7"], "expected a share"),
        (["--name", "no/slash"], "expected up to 64 letters"),
    ],
)
def test_invalid_options_write_nothing(trained, tmp_path, inside, arguments, words):
    done = inside("export", trained, "-o", tmp_path / "b", *arguments)
    assert done.status == 2 and words in done.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_missing_run_is_one_line(tmp_path, inside):
    done = inside("export", tmp_path / "none", "-o", tmp_path / "b")
    assert done.status == 1 and done.err.startswith("error: cannot read") and len(done.err.splitlines()) == 1


@pytest.mark.slow
def test_missing_package_error_names_the_extra(trained, tmp_path):
    code = "import sys; sys.modules['onnx'] = None; from aaptvae.cli import main; main()"
    arguments = [sys.executable, "-c", code, "export", str(trained), "-o", str(tmp_path / "b")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "pip install torch onnx" in done.stderr and "onnx" in done.stderr


def test_help_of_the_verbs_imports_no_torch():
    for verb in ("export", "demo"):
        code = f"import sys; sys.argv[1:] = ['{verb}', '--help']; from aaptvae.cli import main\n"
        code += "try: main()\nexcept SystemExit: print('torch' in sys.modules, 'numpy' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.endswith("False False\n")


@pytest.mark.slow
def test_a_trained_bernoulli_run_exports_and_verifies(tmp_path):
    np.save(tmp_path / "x.npy", np.load(DIGITS_FILE).astype(np.float32) / 16)
    config = TrainConfig(latent_dim=8, hidden_dim=(64,), likelihood="bernoulli", epochs=20, precision="fp32")
    train(tmp_path / "x.npy", tmp_path / "run", config, report=False)
    made = export_bundle(read_run(tmp_path / "run"), tmp_path / "bundle", ExportOptions(precisions=("fp16",)))
    assert verify(made.path).passed
    x_hat = aaptvae.load(made.path).reconstruct(np.load(tmp_path / "x.npy"))
    assert 0 <= x_hat.min() < 0.05 and 0.7 < x_hat.max() <= 1
