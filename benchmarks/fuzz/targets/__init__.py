"""The doors of the package."""

from benchmarks.fuzz.targets.audio import Audio
from benchmarks.fuzz.targets.checkpoints import Checkpoints
from benchmarks.fuzz.targets.commands import Commands
from benchmarks.fuzz.targets.configs import Configs, Durations, TrainConfigs
from benchmarks.fuzz.targets.data_dirs import DataDirs
from benchmarks.fuzz.targets.packs import Packs
from benchmarks.fuzz.targets.text import TextFrontEnd, Voice
from benchmarks.fuzz.targets.tokens import Tokens

TARGETS = {
    "text": TextFrontEnd,
    "voice": Voice,
    "audio": Audio,
    "data": DataDirs,
    "tokens": Tokens,
    "durations": Durations,
    "configs": Configs,
    "training": TrainConfigs,
    "packs": Packs,
    "checkpoints": Checkpoints,
    "commands": Commands,
}
