"""The command line gives the library's own numbers, says one line when it refuses, and leaves nothing behind."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import click
import msgspec
import numpy as np
import pytest
from preforked import VERB, start

import aaptvae
from aaptvae.bundle import Precision
from aaptvae.cli import app, options
from aaptvae.files import opening

SCHEMA1 = Path(__file__).parents[2] / "fixtures" / "schema1" / "bundle"
OBSERVED = Path(__file__).parents[2] / "web" / "observed"


class Done(NamedTuple):
    status: int
    out: bytes
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Run a verb in this process, in an empty folder, and give what it printed."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as end:
            app.run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Done(int(str(end.value.code)), out, err.decode())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def table(data: bytes) -> np.ndarray:
    return np.loadtxt(io.BytesIO(data), delimiter=",", ndmin=2).astype(np.float32)


def test_row_verbs_write_what_the_library_computes(cli: Cli, tiny: Path, vae: aaptvae.VAE, x: np.ndarray) -> None:
    np.save("x.npy", x)
    assert cli("encode", tiny, "x.npy", "-o", "z.npy", "--logvar", "v.npy") == (0, b"", "")
    assert cli("decode", tiny, "z.npy", "-o", "y.npy").status == 0
    assert cli("reconstruct", tiny, "x.npy", "-o", "r.npy").status == 0
    assert cli("score", tiny, "x.npy", "-o", "s.npy").status == 0
    mu, logvar = vae.encode(x)
    for name, expected in {
        "z": mu,
        "v": logvar,
        "y": vae.decode(mu),
        "r": vae.reconstruct(x),
        "s": np.stack(vae.score(x), axis=1),
    }.items():
        assert np.array_equal(np.load(f"{name}.npy"), expected, equal_nan=True)
    assert files() == [f"{name}.npy" for name in "rsvxyz"]


def test_many_batches_give_the_same_bytes_as_one(cli: Cli, tiny: Path, vae: aaptvae.VAE) -> None:
    x = np.random.default_rng(1).standard_normal((40_000, 5)).astype(np.float32)
    np.save("x.npy", x)
    assert cli("encode", tiny, "x.npy", "-o", "z.npy").status == 0
    assert cli("encode", tiny, "x.npy", "-o", "small.npy", "--batch-size", 100).status == 0
    np.save("memory.npy", vae.embed(x))
    assert Path("z.npy").read_bytes() == Path("memory.npy").read_bytes() == Path("small.npy").read_bytes()


def test_generating_verbs_write_what_the_library_computes(cli: Cli, tiny: Path, vae: aaptvae.VAE, x: np.ndarray) -> None:
    np.save("x.npy", x)
    noisy = ["--observation-noise", "--temperature", "0.5", "--prior", "standard"]
    assert cli("sample", tiny, "-n", 20_000, "--seed", 7, "-o", "s.npy", *noisy).status == 0
    expected = vae.sample(20_000, seed=7, observation_noise=True, temperature=0.5, prior="standard")
    assert np.array_equal(np.load("s.npy"), expected)
    for path in ("linear", "slerp"):
        assert cli("interpolate", tiny, "x.npy", "--steps", 4, "--path", path, "-o", "i.npy", "--force").status == 0
        walk = np.load("i.npy")
        assert walk.shape == (299 * 4 + 1, 5)
        assert np.array_equal(walk[::4], vae.reconstruct(x))
        assert np.array_equal(walk[:5], vae.interpolate(x[:1], x[1:2], 4, path=path))  # type: ignore[arg-type]
    for rows, expected_rows in ((1, 1), (0, 0)):
        np.save("few.npy", x[:rows])
        assert cli("interpolate", tiny, "few.npy", "-o", "i.npy", "--force").status == 0
        assert np.load("i.npy").shape == (expected_rows, 5)


def test_samples_as_observed_need_the_bundles_maps(cli: Cli, tiny: Path) -> None:
    command = ["-n", 300, "--seed", 7, "--as-observed", "-o", "s.npy"]
    refused = cli("sample", tiny, *command)
    assert refused.status == 1 and "marginals.npz" in refused.err and files() == []
    assert cli("sample", OBSERVED, *command).status == 0
    assert np.array_equal(np.load("s.npy"), aaptvae.load(OBSERVED).sample(300, seed=7, as_observed=True))


def test_a_random_seed_is_printed(cli: Cli, tiny: Path) -> None:
    done = cli("sample", tiny, "-n", 2, "-o", "-", "--format", "csv")
    seed = done.err.removeprefix("seed ").strip()
    assert cli("sample", tiny, "-n", 2, "-o", "-", "--format", "csv", "--seed", seed).out == done.out


@pytest.mark.parametrize("format", ["npy", "csv", "jsonl", "npz", "parquet"])
def test_verbs_pipe_into_each_other_in_every_format(
    tiny: Path, vae: aaptvae.VAE, x: np.ndarray, tmp_path: Path, format: str
) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    np.save(tmp_path / "x.npy", x)
    with start(VERB, "encode", tiny, tmp_path / "x.npy", "-o", "-", "--format", format) as encoding:
        latents, talk = encoding.communicate()
        assert (encoding.returncode, talk) == (0, b"")
    with start(VERB, "decode", tiny, "-", "-o", tmp_path / "y.npy", "--format", format, stdin=True) as decoding:
        assert decoding.communicate(latents) == (b"", b"")
        assert decoding.returncode == 0
    assert np.array_equal(np.load(tmp_path / "y.npy"), vae.reconstruct(x))


def test_stdin_of_unknown_length_becomes_npy_on_stdout(tiny: Path, vae: aaptvae.VAE, x: np.ndarray) -> None:
    with start(VERB, "encode", tiny, "/dev/stdin", "-o", "-", "--format", "npy", stdin=True) as refused:
        assert b"not an .npy file" in refused.communicate(b"1,2\n")[1]
    text = "\n".join(",".join(map(str, row)) for row in x.tolist()).encode()
    with start(VERB, "encode", tiny, "-", "-o", "-", "--format", "csv", stdin=True) as encoding:
        assert np.array_equal(table(encoding.communicate(text)[0]), vae.embed(x))


BAD_INPUT: list[tuple[Any, str]] = [
    (np.ones((3, 4)), "x.npy has 4 columns: expected 5"),
    (np.ones(5), "x.npy has shape (5,)"),
    (np.ones((2, 5, 1)), "x.npy has shape (2, 5, 1)"),
    (np.ones((2, 0)), "expected 1 to 1048576 columns"),
    (np.ones((2, 5), bool), "x.npy holds |b1 values"),
    (np.ones((2, 5), complex), "x.npy holds <c16 values"),
    (np.array([[None] * 5]), "x.npy holds pickled Python objects"),
    (b"text", "x.npy is not an .npy file"),
    (None, "x.npy cannot be read: No such file"),
    (np.where(np.arange(50_000).reshape(-1, 5) == 40_003, np.nan, 1), "x.npy has nan at row 8000, column 3"),
    (np.where(np.arange(50_000).reshape(-1, 5) == 12, np.inf, 1).astype("f4"), "x.npy has inf at row 2, column 2"),
    (np.full((1, 5), 1e39), "x.npy has 1e+39 at row 0, column 0"),
]


@pytest.mark.parametrize(("content", "message"), BAD_INPUT)
@pytest.mark.parametrize("verb", ["encode", "interpolate"])
def test_bad_input_gives_one_line_and_status_1(cli: Cli, tiny: Path, verb: str, content: Any, message: str) -> None:
    if isinstance(content, bytes):
        Path("x.npy").write_bytes(content)
    elif content is not None:
        np.save("x.npy", content, allow_pickle=True)
    done = cli(verb, tiny, "x.npy", "-o", "z.npy")
    assert (done.status, done.out, done.err.count("\n")) == (1, b"", 1)
    assert done.err.startswith("error: ")
    assert message in done.err
    assert files() == [] if content is None else ["x.npy"]


def test_no_rows_and_one_row_are_fine(cli: Cli, tiny: Path, x: np.ndarray) -> None:
    for rows in (0, 1):
        np.save("x.npy", x[:rows])
        for verb in ("encode", "score"):
            assert cli(verb, tiny, "x.npy", "-o", "z.npy", "--force").status == 0
            assert len(np.load("z.npy")) == rows
        assert cli("score", tiny, "x.npy").status == 0


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("old.npy", "old.npy exists: add --force"),
        ("no/z.npy", "is not a folder, make it first"),
        ("z.txt", "no known format"),
        ("-", "- has no suffix"),
        (".", "no known format"),
        ("/proc/z.npy", "cannot be written"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(cli: Cli, tiny: Path, x: np.ndarray, output: str, message: str) -> None:
    np.save("x.npy", x)
    Path("old.npy").write_bytes(b"mine")
    done = cli("encode", tiny, "x.npy", "-o", output)
    assert (done.status, done.err.count("\n"), files()) == (1, 1, ["old.npy", "x.npy"])
    assert Path("old.npy").read_bytes() == b"mine"
    assert message in done.err


def test_a_bundle_that_is_none_is_refused(cli: Cli, tiny: Path, x: np.ndarray) -> None:
    np.save("x.npy", x)
    Path("empty").mkdir()
    for bundle in ("absent", "empty", "x.npy"):
        for verb, *rest in (["encode", "x.npy", "-o", "z.npy"], ["info"], ["verify"], ["bench"]):
            done = cli(verb, bundle, *rest)
            assert (done.status, done.out, done.err.count("\n")) == (1, b"", 1)
            assert done.err.startswith("error: ")
    done = cli("encode", tiny, "x.npy", "-o", "z.npy", "--sha256", "0" * 64)
    assert done.status == 1
    assert cli("encode", tiny, "x.npy", "-o", "z.npy", "--provider", "NoSuchProvider").status == 1
    assert files() == ["empty", "x.npy"]


def test_bad_lines_are_refused_or_skipped_and_listed(cli: Cli, tiny: Path, vae: aaptvae.VAE) -> None:
    Path("x.csv").write_text("1,2,3,4,5\n1,2,3\n\n5,4,3,2,1\nnan,1,1,1,1\n")
    done = cli("encode", tiny, "x.csv", "-o", "z.csv")
    assert (done.status, done.err, files()) == (1, "error: x.csv line 2 has 3 values: expected 5\n", ["x.csv"])
    done = cli("encode", tiny, "x.csv", "-o", "z.csv", "--on-bad-row", "skip")
    assert done.status == 1
    assert done.err.splitlines() == [
        "skipped: x.csv line 2 has 3 values: expected 5",
        "skipped: x.csv line 5 has nan in column 0: expected finite float32 numbers: drop the row or fill in the value",
        "skipped 2 rows",
    ]
    assert np.array_equal(table(Path("z.csv").read_bytes()), vae.embed([[1, 2, 3, 4, 5]] * 2 + [[5, 4, 3, 2, 1]])[[0, 2]])


def test_what_a_file_says_cannot_drive_the_terminal(cli: Cli, tiny: Path) -> None:
    Path("x.csv").write_text("\x1b[31m,\x07,1\n1,2,3,4,5\n")
    done = cli("encode", tiny, "x.csv", "-o", "z.csv", "--on-bad-row", "skip")
    assert done.status == 1
    assert all(c.isprintable() for line in done.err.splitlines() for c in line)


def test_a_summary_of_scores(cli: Cli, tiny: Path, vae: aaptvae.VAE, x: np.ndarray) -> None:
    np.save("x.npy", np.tile(x, (100, 1)))
    done = cli("score", tiny, "x.npy", "--json")
    figures, elbo = msgspec.json.decode(done.out), vae.score(x).elbo
    assert figures["rows"] == 30_000
    assert np.allclose(
        [figures["elbo"][name] for name in ("mean", "std", "min", "max")], [elbo.mean(), elbo.std(), elbo.min(), elbo.max()]
    )
    assert cli("score", tiny, "x.npy", "-o", "s.csv").out == b""
    assert Path("s.csv").read_text().startswith("reconstruction_error,kl_divergence,elbo,p_value\n")
    assert b"elbo" in cli("score", tiny, "x.npy").out
    assert cli("score", tiny, "x.npy", "--json", "-o", "-").status == 2


def test_info_labels_figures_and_their_baselines(cli: Cli) -> None:
    shown = cli("info", SCHEMA1).out.decode()
    assert re.search(r"\nR2 of reconstructions +0.9682 \(PCA 0.9682\)\n", shown)
    assert re.search(r"\nLog-likelihood +0.4721 nats per row \(pPCA -2.79, full Gaussian 0.4600\)\n", shown)
    assert "log_likelihood" not in shown


def test_info_verify_and_bench(cli: Cli, tiny: Path, vae: aaptvae.VAE) -> None:
    assert cli("info", tiny, "--digest").out.decode().strip() == vae.digest
    assert msgspec.json.decode(cli("info", tiny, "--json").out)["manifest"]["latent_dim"] == 2
    assert b"5 -> 3 -> 2 with linear skip" in cli("info", tiny).out
    assert b"FAILED" not in cli("verify", tiny).out
    assert msgspec.json.decode(cli("verify", tiny, "--json").out)["passed"] is True
    assert cli("verify", tiny, "--precision", "int8").status == 1
    assert msgspec.json.decode(cli("bench", tiny, "--json").out)[0]["rows"] == 1
    assert b"bare" in cli("bench", tiny).out


def test_every_verb_has_help_with_examples(cli: Cli) -> None:
    for verb in app.VERBS:
        done = cli(verb, "--help")
        assert done.status == 0
        assert f"Examples:\n    aaptvae {verb} ".encode() in done.out.replace(b"\r", b"")


def test_wrong_usage_is_status_2(cli: Cli, tiny: Path) -> None:
    for arguments in (
        ["encode"],
        ["nonsense"],
        ["encode", tiny, "x.npy"],
        ["sample", tiny, "-n", "-1", "-o", "-"],
        ["--nonsense"],
    ):
        done = cli(*arguments)
        assert (done.status, done.out) == (2, b"")


def test_version_names_aaptvae_and_onnxruntime(cli: Cli) -> None:
    assert cli("--version").out.startswith(b"aaptvae ")
    assert b"(onnxruntime " in cli("--version").out


def test_help_describes_every_verb_by_its_docstring(cli: Cli) -> None:
    page = " ".join(cli("--help").out.decode().split())
    for verb in app.VERBS:
        command = app.app.get_command(click.Context(app.app), verb)
        assert command is not None
        assert f" {verb} {command.get_short_help_str(100)}" in page
    assert cli().out == cli("-h").out == cli("--help").out


def test_options_list_the_precisions_and_formats_that_exist(cli: Cli) -> None:
    assert get_args(Precision) == options.PRECISIONS
    assert opening.WRITABLE == options.WRITABLE and tuple(opening.FORMATS) == options.FORMATS
    page = " ".join(cli("encode", "--help").out.decode().split())
    assert f"--format [{'|'.join(opening.WRITABLE)}]" in page
    assert f"(.{' .'.join(opening.FORMATS)})" in page


OTHER_NAME = """
import importlib.metadata as metadata
find = metadata.Distribution.from_name
def other(name):
    if name == "onnxruntime":
        raise metadata.PackageNotFoundError(name)
    return find(name)
metadata.Distribution.from_name = other
from aaptvae.cli import main
main()
"""


def test_another_distribution_of_onnxruntime_works(tmp_path: Path, tiny: Path) -> None:
    """onnxruntime-gpu brings the same module and no distribution that is called onnxruntime."""
    for arguments in (
        ["--version"],
        ["sample", tiny, "-n", "3", "--seed", "0", "-o", "x.npy", "--resume"],
        ["encode", tiny, "x.npy", "-o", "z.npy", "--resume"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", OTHER_NAME, *map(str, arguments)], cwd=tmp_path, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_missing_packages_of_a_verb_are_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "installed_verbs", lambda: {"demo": "no_such_package.cli:demo"})
    done = cli("demo", "--epochs", 3, "x")
    assert done == (
        1,
        b"",
        f"error: demo needs a package that is not installed (no_such_package): {app.EXTRA}\n",
    )


def test_verbs_come_from_our_own_distribution_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[console_scripts]\nx = y:z\n[aaptvae.commands]\n{0} = {0}_cli:main\nencode = evil:main\n"
    for name in ("aaptvae-9", "other-1"):
        (tmp_path / f"{name}.dist-info").mkdir()
        (tmp_path / f"{name}.dist-info/METADATA").write_text(f"Name: {name[:-2]}\nVersion: 1\n")
        (tmp_path / f"{name}.dist-info/entry_points.txt").write_text(text.format(name[:4]))
    monkeypatch.setattr(sys, "path", ["/nowhere", str(tmp_path)])
    assert app.installed_verbs() == {"aapt": "aapt_cli:main"}


def test_completion_knows_the_verbs() -> None:
    environment = os.environ | {"_AAPTVAE_COMPLETE": "bash_complete", "COMP_WORDS": "aaptvae enc", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "aaptvae"], env=environment, capture_output=True, check=True)
    assert done.stdout == b"plain,encode\n"


def test_help_imports_nothing_slow() -> None:
    for arguments in (["--help"], ["encode", "--help"]):
        code = f"import sys, aaptvae.cli as c; sys.argv[1:] = {arguments}\ntry:\n c.main()\nfinally:\n print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert not {"numpy", "onnxruntime", "torch", "msgspec", "email"} & set(done.stdout.splitlines()[-1].split())


def test_info_imports_no_onnxruntime(tiny: Path) -> None:
    code = (
        f"import sys; sys.argv[1:] = ['info', {str(tiny)!r}]\ntry:\n import aaptvae.cli as c; c.main()\nfinally:\n"
        " assert not {'torch', 'onnx', 'onnxruntime', 'matplotlib', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["info", "{tiny}"], ["encode", "{tiny}", "{x}", "-o", "-", "--format", "csv"]]
)
@pytest.mark.parametrize("stdout", ["closed", "full", "left"])
def test_stdout_that_takes_nothing_is_no_traceback(
    tmp_path: Path, tiny: Path, x: np.ndarray, arguments: list[str], stdout: str
) -> None:
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-m", "aaptvae", *(part.format(tiny=tiny, x=tmp_path / "x.npy") for part in arguments)]
    reading, writing = os.pipe()
    os.close(reading)
    target = {"closed": None, "full": os.open("/dev/full", os.O_WRONLY), "left": writing}[stdout]
    closing = ["sh", "-c", 'exec "$@" >&-', "sh"] if target is None else []
    done = subprocess.run([*closing, *command], stdout=target, stderr=subprocess.PIPE, check=False, text=True)
    assert done.returncode == (0 if stdout == "closed" else 1)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 1


@pytest.mark.parametrize("places", [("-o", "x.npy"), ("-o", "z.npy", "--logvar", "./z.npy"), ("-o", "-", "--logvar", "-")])
def test_an_output_never_overwrites_input_or_output(cli: Cli, tiny: Path, x: np.ndarray, places: tuple[str, ...]) -> None:
    np.save("x.npy", x)
    before = Path("x.npy").read_bytes()
    done = cli("encode", tiny, "x.npy", *places, "--force", "--format", "csv")
    assert done.status == 1
    assert done.err.endswith("is named twice: give every input and output a file of its own\n")
    assert Path("x.npy").read_bytes() == before
    assert files() == ["x.npy"]
