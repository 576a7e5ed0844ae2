"""Kills and full disks over every command that writes: `python tests/trust/faults.py KILLS FULL_DISKS [VERB ...]`.

A command runs in a fork of this process, which has the imports behind it, so that most faults hit work and not imports.
"""

import contextlib
import hashlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aaptvae.files.publish import SUFFIX

TINY = Path(__file__).parents[1] / "runtime/tiny"
CANNOT_WRITE = "cannot be written", "cannot write", "No space left", "File too large"


@dataclass(frozen=True)
class Command:
    """Arguments, what appears under its name, and how often it is attacked compared with the others."""

    name: str
    arguments: list[str]
    output: str
    weight: float
    again: list[str] = field(default_factory=lambda: ["--force"])  # what makes it go on after a fault


COMMANDS = [
    Command("encode", ["encode", "tiny", "x.npy", "-o", "z.npy"], "z.npy", 4.6),
    Command(
        "encode --resume", ["encode", "tiny", "x.npy", "-o", "z.jsonl", "--resume"], "z.jsonl", 4.6, ["--resume", "--force"]
    ),
    Command("decode", ["decode", "tiny", "latents.npy", "-o", "d.csv"], "d.csv", 4.6),
    Command("reconstruct", ["reconstruct", "tiny", "x.npy", "-o", "r.npz"], "r.npz", 4.6),
    Command("score", ["score", "tiny", "x.npy", "-o", "scores.npy"], "scores.npy", 4.6),
    Command("sample", ["sample", "tiny", "-n", "60000", "--seed", "3", "-o", "s.npy"], "s.npy", 4.6),
    Command("interpolate", ["interpolate", "tiny", "x.npy", "--steps", "2", "-o", "i.npy"], "i.npy", 4.6),
    Command(
        "train",
        ["train", "f.npy", "-o", "run", "--latent-dim", "3", "--hidden-dim", "8", "--epochs", "4"],
        "run",
        3,
        ["--resume"],
    ),
    Command("export", ["export", "trained", "-o", "bundle"], "bundle", 1),
    Command("export --zip", ["export", "trained", "-o", "bundle.zip", "--zip"], "bundle.zip", 0.8),
    Command("demo", ["demo", "-o", "demo"], "demo", 0.3),
]
UNSTABLE = ("metrics.jsonl", "report.html", "results.npz")  # a resumed run's figures of its past, pictures, timings


class Workshop:
    """A folder with inputs, and each command's true output."""

    def __init__(self, folder: Path, commands: list[Command], rows: int = 60_000) -> None:
        self.folder, self.commands = folder, commands
        self._said = os.pipe()  # what commands say: to no file, for none may grow where the disk is full
        os.set_blocking(self._said[0], False)
        folder.mkdir()
        rng = np.random.default_rng(0)
        shutil.copytree(TINY, folder / "tiny")
        np.save(folder / "x.npy", rng.standard_normal((rows, 5)).astype(np.float32))
        np.save(folder / "latents.npy", rng.standard_normal((rows, 2)).astype(np.float32))
        features = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 8)) + 0.1 * rng.standard_normal((400, 8))
        np.save(folder / "f.npy", features.astype(np.float32))
        if any(command.name.startswith("export") for command in commands):
            self._done(["train", "f.npy", "-o", "trained", "--latent-dim", "3", "--hidden-dim", "8", "--epochs", "4"])
        self.inputs = {path.name for path in folder.iterdir()}
        self.truth: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        for command in commands:
            started = time.perf_counter()
            self._done(command.arguments)
            self.seconds[command.name] = time.perf_counter() - started
            self.truth[command.name] = digest(folder / command.output)
            self.clear()

    def _done(self, arguments: list[str]) -> None:
        assert self.wait(self.start(arguments)) == 0, self.words()

    def start(self, arguments: list[str], before: Callable[[], object] = lambda: None) -> int:
        """The process of a command."""
        child = os.fork()
        if child:
            return child
        status = 70
        try:
            os.chdir(self.folder)
            os.dup2(self._said[1], 1)
            os.dup2(self._said[1], 2)
            sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
            before()
            sys.argv = ["aaptvae", *arguments]
            from aaptvae.cli import main  # noqa: PLC0415 - as the command line does

            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException as error:  # a traceback is a finding: exit as Python would
            os.write(2, f"Traceback {error!r}".encode())
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    @staticmethod
    def wait(child: int) -> int:
        """Its exit status; negative for the signal that ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def words(self) -> str:
        """What was said since the last time."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._said[0], 1 << 16).decode()
        return ""

    def names(self) -> set[str]:
        """What is there beside the inputs."""
        return {path.name for path in self.folder.iterdir()} - self.inputs

    def clear(self) -> None:
        """Leave the inputs only."""
        for name in self.names():
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def state(self, command: Command, old: str | None) -> str:
        """What is under the output's name: nothing, old, new, unfinished (a run that can be resumed) or broken."""
        path = self.folder / command.output
        if not path.exists():
            return "nothing"
        found = digest(path)
        if found in (old, self.truth[command.name]):
            return "old" if found == old else "new"
        return "unfinished" if unfinished(path) else "broken"


def digest(path: Path) -> str:
    """Of a file, or of all files of a folder by name."""
    total = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and file.name not in UNSTABLE and "last" not in file.parts and file.suffix != ".png":
            total.update(str(file.relative_to(path)).encode() + file.read_bytes())
    return total.hexdigest()


def unfinished(path: Path) -> bool:
    """A run that `--resume` goes on with."""
    return (path / "config.json").is_file() and not (path / "evaluation.json").exists()


def old_output(shop: Workshop, command: Command, choose: random.Random) -> tuple[str | None, list[str]]:
    """Perhaps something under the output's name already, with the option to replace it."""
    path = shop.folder / command.output
    if choose.random() < 0.5 or command.name == "demo":
        return None, []
    if command.name == "train":
        path.mkdir()
        (path / "config.json").write_text("{}")
    elif command.name == "export":
        shutil.copytree(TINY, path)
    else:
        path.write_bytes(b"old")
    return digest(path), ["--force"]


def after(shop: Workshop, command: Command, old: str | None, killed: bool) -> list[str]:
    """What is wrong after a fault: with the output, with what lies beside it, and with the next run."""
    wrong = []
    state = shop.state(command, old)
    if state == "broken" or (state == "nothing" and old is not None):
        wrong.append(f"output {state}")
    beside = {name for name in shop.names() if name != command.output}
    # A kill while the record of a resumable job is written leaves the temporary of that file too.
    starts = f".{command.output}.", f"..{command.output}."
    kept = [name for name in beside if name.endswith(SUFFIX) and name.startswith(starts)]
    if len(kept) < len(beside) or (kept and not killed and "--resume" not in command.arguments):
        wrong.append(f"debris {sorted(beside)}")
    shop.words()
    again = command.again if state == "unfinished" or "--resume" in command.arguments else ["--force"]
    started = time.perf_counter()
    status = shop.wait(shop.start([*command.arguments, *(flag for flag in again if flag not in command.arguments)]))
    shop.seconds[command.name] = 0.5 * (shop.seconds[command.name] + time.perf_counter() - started)  # machines vary
    if status or digest(shop.folder / command.output) != shop.truth[command.name]:
        wrong.append(f"the next run gave {status}, {shop.state(command, old)} after {state}: {shop.words()[-200:]}")
    if debris := shop.names() - {command.output}:
        wrong.append(f"debris after the next run {sorted(debris)}")
    shop.clear()
    return wrong


def kill(shop: Workshop, command: Command, choose: random.Random) -> tuple[bool, list[str]]:
    """kill -9 at a random moment; whether it came before the end, and what was wrong afterwards."""
    old, options = old_output(shop, command, choose)
    child = shop.start([*command.arguments, *options])
    time.sleep(choose.random() * shop.seconds[command.name])
    os.kill(child, signal.SIGKILL)
    hit = shop.wait(child) == -signal.SIGKILL
    return hit, after(shop, command, old, killed=True)


def fill(shop: Workshop, command: Command, choose: random.Random) -> tuple[bool, list[str]]:
    """No file may grow beyond a random size; whether that stopped the command, and what was wrong afterwards."""
    old, options = old_output(shop, command, choose)
    limit = choose.choice((0, 100, choose.randrange(1, 3000), choose.randrange(1, 400_000)))

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    status = shop.wait(shop.start([*command.arguments, *options], small_disk))
    wrong = []
    if status:
        words = shop.words()
        lines = [line for line in words.splitlines() if line]
        if status != 1 or not lines or not lines[-1].startswith("error: ") or "Traceback" in words:
            wrong.append(f"status {status}: {words[-300:]}")
    return status != 0, wrong + after(shop, command, old, killed=False)


Fault = Callable[[Workshop, Command, random.Random], tuple[bool, list[str]]]


def campaign(shop: Workshop, fault: Fault, count: int, seed: int = 0) -> dict[str, tuple[int, int, list[str]]]:
    """By command: faults, how many of them hit a running command, and what was wrong."""
    total = sum(command.weight for command in shop.commands)
    report: dict[str, tuple[int, int, list[str]]] = {}
    for command in shop.commands:
        tried, hits, wrong = max(1, round(count * command.weight / total)), 0, []
        for number in range(tried):
            choose = random.Random(f"{fault.__name__} {command.name} {seed} {number}")  # noqa: S311 - names the fault
            hit, found = fault(shop, command, choose)
            hits += hit
            wrong += [f"{number}: {text}" for text in found]
        shop.words()
        report[command.name] = tried, hits, wrong
        print(f"{fault.__name__} {command.name:<16} {tried:>4} tried {hits:>4} hit", *wrong, sep="\n    ", flush=True)
    return report


def warm(commands: list[Command]) -> None:
    """Import what the commands import, in this process; only OpenBLAS, which knows forks, starts threads at that."""
    modules = [
        "aaptvae.cli.app",
        "aaptvae.cli.verbs_rows",
        "aaptvae.cli.verbs_generate",
        "aaptvae.cli.job.stream",
        "aaptvae.vae",
        "onnxruntime",
    ]
    if any(command.name.split()[0] in ("train", "export", "demo") for command in commands):
        modules += ["torch._dynamo", "aaptvae_training.train_run", "aaptvae_export.bundle.publish", "aaptvae_export.cli"]
    for module in modules:
        importlib.import_module(module)


def main() -> int:
    """Both campaigns over all commands; 1 if anything was wrong."""
    chosen = [command for command in COMMANDS if not sys.argv[3:] or command.arguments[0] in sys.argv[3:]]
    warm(chosen)
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder) / "work", chosen)
        print(json.dumps({name: round(seconds, 2) for name, seconds in shop.seconds.items()}), flush=True)
        reports = [campaign(shop, kill, int(sys.argv[1])), campaign(shop, fill, int(sys.argv[2]))]
    for name, report in zip(("kills", "full disks"), reports, strict=True):
        tried, hit = (sum(figures[i] for figures in report.values()) for i in (0, 1))
        print(f"{name}: {tried}, {hit} of them while the command ran, {sum(len(f[2]) for f in report.values())} wrong")
    return int(any(figures[2] for report in reports for figures in report.values()))


if __name__ == "__main__":
    sys.exit(main())
