"""Writing the waves of a set."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Union

import numpy as np

from espnet_fsqdiff.data.datadir import write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path

if TYPE_CHECKING:
    import torch


def write_wave(
    path: Union[str, Path], wav: Union[np.ndarray, "torch.Tensor"], fs: int, name: str
) -> None:
    """Write one wave (L,), 16 bit; one that would clip is scaled down.

    Args:
        path: What soundfile writes by its name: .wav, .flac, ...
        wav: Samples.
        fs: Sampling rate in Hz.
        name: Whose it is, for messages.

    Raises:
        InputError: If it is empty, silent or not finite.
    """
    import soundfile

    wav = np.asarray(wav, dtype=np.float32)
    peak = np.abs(wav).max(initial=0.0)
    if not 0 < peak < np.inf:
        raise InputError(
            f"{name}: the wave made is empty, silent or not finite; check the models"
        )
    with atomic_path(path) as aside:
        soundfile.write(aside, wav / max(1.0, peak), fs, subtype="PCM_16")


class WaveWriter:
    """Writes `wav/<utt>.wav` one by one and `wav.scp` at the end.

    Of a set that was there before, `wav.scp`, `stats.json` and `rollout.txt` go first.

    Args:
        output_dir: Where; made if missing.
        fs: Sampling rate in Hz.
    """

    def __init__(self, output_dir: Union[str, Path], fs: int):
        self.output_dir = Path(output_dir)
        self.fs = fs
        self._scp: Dict[str, str] = {}
        # A set whose waves change must not look finished, nor have figures of others.
        for name in ("stats.json", "rollout.txt", "wav.scp"):
            (self.output_dir / name).unlink(missing_ok=True)

    def __call__(self, utt_id: str, wav: Union[np.ndarray, "torch.Tensor"]) -> None:
        """Write one wave (L,), 16 bit; one that would clip is scaled down.

        Raises:
            InputError: If it is empty, silent or not finite.
        """
        path = self.output_dir / "wav" / f"{utt_id}.wav"
        write_wave(path, wav, self.fs, utt_id)
        self._scp[utt_id] = os.fspath(path)

    def close(self) -> None:
        """Write `wav.scp`, sorted."""
        write_table(self.output_dir / "wav.scp", dict(sorted(self._scp.items())))
