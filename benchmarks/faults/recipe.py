"""A copy of the mini recipe, small enough to be run a hundred times."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from benchmarks.faults.warm import Warm

ROOT = Path(__file__).resolve().parents[2]
STAGES = tuple(range(1, 15))
# What stages write, in the recipe's directory.
OUTPUTS = ("data", "downloads", "dump", "exp")
# Saved between steps, and without pictures of each epoch, which would cost more than
# the epoch. Two processes where a stage can use them, two epochs of what is trained
# first.
_QUICK = "--save_interval_steps 2 --use_matplotlib false --use_tensorboard false"
OPTIONS = {
    "preset": "test",
    "local_data_opts": "--num_train 16 --num_valid 4 --num_test 2",
    "nj": "2",
    "inference_nj": "2",
    "num_examples": "1",
    "tokenizer_args": f"--max_epoch 2 --keep_nbest_models 2 {_QUICK}",
    "train_args": f"--max_epoch 2 {_QUICK}",
    "token2mel_config": "conf/train_token2mel_test.yaml",
    "token2mel_args": _QUICK,
    "vocoder_config": "conf/train_vocoder_test.yaml",
    "vocoder_args": _QUICK,
    "vocoder_finetune_config": "conf/train_vocoder_test.yaml",
    "vocoder_finetune_args": _QUICK,
}


class Ended(NamedTuple):
    """A run of a stage.

    Attributes:
        status: Exit status of run.sh; None if it was killed.
        seconds: How long it ran.
        output: What it printed, standard output and errors.
        logs: What its jobs wrote to their logs.
    """

    status: Optional[int]
    seconds: float
    output: str
    logs: str = ""


class Run:
    """A stage that is running, in a process group of its own."""

    def __init__(self, recipe: "Recipe", stage: int):
        self._warm = recipe.warm
        self._log = recipe.log
        self._folder = recipe.folder
        self._start = time.perf_counter()
        with open(self._log, "wb") as stream:
            # By the clock of files, which is some milliseconds behind the other.
            os.utime(stream.fileno())
            self._since = os.fstat(stream.fileno()).st_mtime_ns
            self._process = subprocess.Popen(
                recipe.command(stage),
                cwd=recipe.folder,
                env=recipe.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.perf_counter() - self._start

    def kill(self) -> Ended:
        """SIGKILL to all its processes."""
        self._signal()
        self._process.wait()
        return self._ended(None)

    def wait(self, timeout: float = 3600) -> Ended:
        """Let it end; what takes longer than `timeout` seconds is killed: an error.

        Raises:
            subprocess.TimeoutExpired: As said.
        """
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        # What it left in the background must not go on.
        self._signal()
        return self._ended(status)

    def _signal(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if self._warm is not None:
            self._warm.kill()

    def _ended(self, status: Optional[int]) -> Ended:
        output = self._log.read_text(encoding="utf-8", errors="replace")
        return Ended(status, self.seconds, output, self._logs())

    def _logs(self) -> str:
        """All logs of jobs that were written to since it was started."""
        logs = (log for name in OUTPUTS for log in (self._folder / name).rglob("*.log"))
        return "".join(
            log.read_text(encoding="utf-8", errors="replace")
            for log in sorted(logs)
            if log.stat().st_mtime_ns >= self._since
        )


class Recipe:
    """The recipe in a folder of its own, whose outputs can be put back.

    Args:
        home: Where; made if missing.
        warm: What runs its commands; None for a Python that starts anew each time.
    """

    def __init__(self, home: Path, warm: Optional[Warm] = None):
        self.home = home.resolve()
        self.warm = warm
        self.folder = self.home / "egs" / "mini" / "tts1"
        self.temporary = self.home / "tmp"
        # Beside the folder: the disk that holds it may be full.
        self.log = self.home.with_name(f"{self.home.name}.log")
        for name in ("TEMPLATE/fsqdiff1", "mini/tts1"):
            target = self.home / "egs" / name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(
                ROOT / "egs" / name,
                target,
                symlinks=True,
                ignore=shutil.ignore_patterns(*OUTPUTS),
            )
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        self._last: Optional[Run] = None

    @property
    def environment(self) -> Dict[str, str]:
        """Of its commands: one thread, so that sums are the same every time."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        fixed = dict(PATH=path, PYTHONPATH=str(ROOT), TMPDIR=str(self.temporary))
        return {**os.environ, **fixed, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def command(self, stage: int) -> List[str]:
        """The command line of one stage."""
        options = {**OPTIONS, "stage": str(stage), "stop_stage": str(stage)}
        if self.warm is not None:
            options["python"] = str(self.warm.python)
        words = [word for k, v in options.items() for word in (f"--{k}", v)]
        return ["./run.sh", *words]

    def start(self, stage: int) -> Run:
        """Start one stage."""
        self._last = Run(self, stage)
        return self._last

    def stop(self) -> None:
        """Kill what is still running."""
        if self._last is not None and self._last.running:
            self._last.kill()

    def run(self, stage: int) -> Ended:
        """Run one stage to its end."""
        return self.start(stage).wait()

    def save(self, state: Path) -> None:
        """Copy the outputs, with their times, to `state`, whole or not at all."""
        aside = state.with_name(f"{state.name}.tmp")
        shutil.rmtree(aside, ignore_errors=True)
        copy_outputs(self.folder, aside)
        shutil.rmtree(state, ignore_errors=True)
        os.rename(aside, state)

    def restore(self, state: Optional[Path]) -> None:
        """Put the outputs back as they were saved; None for none at all."""
        for name in OUTPUTS:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        if state is not None:
            copy_outputs(state, self.folder)

    def left_behind(self) -> List[str]:
        """What is in the folder for temporary files."""
        return sorted(path.name for path in self.temporary.iterdir())


def copy_outputs(source: Path, target: Path) -> None:
    """Copy what stages have written from one folder to another."""
    target.mkdir(parents=True, exist_ok=True)
    for name in OUTPUTS:
        if (source / name).exists():
            shutil.copytree(source / name, target / name, symlinks=True)
