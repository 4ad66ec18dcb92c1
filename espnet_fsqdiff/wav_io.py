"""Writing the waves of a set."""

import os
from pathlib import Path
from typing import Dict, Union

import numpy as np
import torch

from espnet_fsqdiff.data.datadir import write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path


class WaveWriter:
    """Writes `wav/<utt>.wav` one by one and `wav.scp` at the end.

    Args:
        output_dir: Where; made if missing.
        fs: Sampling rate in Hz.
    """

    def __init__(self, output_dir: Union[str, Path], fs: int):
        self.output_dir = Path(output_dir)
        self.fs = fs
        self._scp: Dict[str, str] = {}

    def __call__(self, utt_id: str, wav: Union[np.ndarray, torch.Tensor]) -> None:
        """Write one wave (L,), 16 bit; one that would clip is scaled down.

        Raises:
            InputError: If it is empty, silent or not finite.
        """
        import soundfile

        wav = np.asarray(wav, dtype=np.float32)
        if wav.size == 0 or not np.isfinite(wav).all() or not wav.any():
            raise InputError(
                f"{utt_id}: the wave made is empty, silent or not finite; "
                "check the models"
            )
        peak = np.abs(wav).max()
        path = self.output_dir / "wav" / f"{utt_id}.wav"
        with atomic_path(path) as aside:
            soundfile.write(aside, wav / max(1.0, peak), self.fs, subtype="PCM_16")
        self._scp[utt_id] = os.fspath(path)

    def close(self) -> None:
        """Write `wav.scp`, sorted."""
        write_table(self.output_dir / "wav.scp", dict(sorted(self._scp.items())))
