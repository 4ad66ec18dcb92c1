"""ESPnet's log-mel of whole waves and of parts of them, the same frame by frame."""

from typing import Any, Dict, List, Sequence

import torch
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.errors import InputError

# What `LogMelFbank.get_parameters` does not tell, and every part of the chain from
# tokens to waves takes for granted.
FIXED = dict(center=True, normalized=False, onesided=True, htk=False, log_base=10.0)


class WaveMel(nn.Module):
    """`LogMelFbank` with the reflection at the ends of a wave taken out of it.

    Frame f is centred on sample f * hop and a wave of L samples has L // hop + 1
    frames, as with ESPnet's `center: true`. But a wave in a batch is reflected at
    its own end, and a segment sees what is around it.

    Args:
        conf: Keyword arguments of `LogMelFbank`.

    Raises:
        InputError: If the mel is not of the kind that vocoders exchange.
    """

    def __init__(self, **conf):
        super().__init__()
        for option, value in FIXED.items():
            if conf.get(option, value) != value:
                raise InputError(
                    f"feats_extract_conf: {option}: {conf[option]} is not what "
                    f"vocoders exchange; leave it at {value}"
                )
        self.fbank = LogMelFbank(**{**conf, **FIXED, "center": False})

    def get_parameters(self) -> Dict[str, Any]:
        """What the mel is, as `LogMelFbank.get_parameters` says it."""
        return self.fbank.get_parameters()

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return self.fbank.hop_length

    @property
    def n_mels(self) -> int:
        return self.fbank.n_mels

    def whole(self, wave: torch.Tensor) -> torch.Tensor:
        """Log-mel (L // hop + 1, n_mels) of a wave (L,)."""
        return self._frames(self._reflected(wave)[None])[0]

    def segments(
        self, waves: Sequence[torch.Tensor], starts: Sequence[int], frames: int
    ) -> torch.Tensor:
        """Parts of the mels that `whole` gives.

        Args:
            waves: Waves (L_i,).
            starts: First frame of each.
            frames: Number of frames of each; no more than there are.

        Returns:
            Log-mels (B, frames, n_mels).
        """
        length = (frames - 1) * self.hop + self.fbank.n_fft
        parts = [
            self._reflected(wave)[start * self.hop :][:length]
            for wave, start in zip(waves, starts)
        ]
        return self._frames(torch.stack(parts))

    def _reflected(self, wave: torch.Tensor) -> torch.Tensor:
        half = self.fbank.n_fft // 2
        # Too short a wave cannot be reflected.
        wave = F.pad(wave, (0, max(0, half + 1 - wave.numel())))
        return F.pad(wave[None, None], (half, half), mode="reflect")[0, 0]

    def _frames(self, waves: torch.Tensor) -> torch.Tensor:
        with torch.autocast(waves.device.type, enabled=False):
            return self.fbank(waves.float())[0]


def cut_waves(waves: torch.Tensor, lengths: torch.Tensor) -> List[torch.Tensor]:
    """Padded waves (B, L) of lengths (B,) to waves (L_i,)."""
    return [wave[:n] for wave, n in zip(waves, lengths.tolist())]
