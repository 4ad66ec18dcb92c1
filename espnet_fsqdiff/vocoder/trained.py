"""A trained vocoder for use from Python."""

from pathlib import Path
from typing import Any, Dict, List, Sequence, Union

import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.vocoder.generator import Generator


class TrainedVocoder:
    """Log-mels to waves.

    Args:
        generator: The network, in eval mode.
        mel: The mel it was made for, as `LogMelFbank.get_parameters` says it.

    Attributes:
        generator: The network.
        mel: The mel it was made for.
        fs: Sampling rate in Hz.
    """

    def __init__(self, generator: Generator, mel: Dict[str, Any]):
        self.generator = generator
        self.mel = mel
        self.fs = int(mel["fs"])

    @classmethod
    def from_files(
        cls,
        train_config: Union[str, Path],
        model_file: Union[str, Path],
        device: str = "cpu",
    ) -> "TrainedVocoder":
        """Load what the vocoder task trained, without its discriminators.

        Args:
            train_config: Its config.yaml.
            model_file: Its weights, of training or of a pack.
            device: Where to run.

        Raises:
            InputError: If a file is missing or the weights do not fit.
        """
        from espnet_fsqdiff.states import averaged_states
        from espnet_fsqdiff.tasks.common import load_model
        from espnet_fsqdiff.tasks.vocoder import GeneratorBuilder, VocoderBuilder

        generator, args = load_model(
            GeneratorBuilder, train_config, model_file, device, averaged_states
        )
        generator.fold()
        mel = VocoderBuilder.build_feats_extract(args).get_parameters()
        return cls(generator, mel)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.generator.parameters()).device

    def __call__(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (F, n_mels), base 10, to a wave (F * hop,), float32 on the CPU."""
        return self.batch([mel])[0]

    @torch.no_grad()
    def batch(self, mels: Sequence[torch.Tensor]) -> List[torch.Tensor]:
        """Several log-mels (F, n_mels) at once; each gets the wave it gets alone.

        Raises:
            InputError: If one is of another shape, empty or not finite.
        """
        inputs = []
        for i, mel in enumerate(mels):
            mel = torch.as_tensor(mel, dtype=torch.float32, device=self.device)
            if mel.ndim != 2 or mel.size(1) != self.generator.n_mels or not len(mel):
                raise InputError(
                    f"mel {i} has the shape {tuple(mel.shape)}; this vocoder takes "
                    f"(frames, {self.generator.n_mels})"
                )
            if not mel.isfinite().all():
                raise InputError(f"mel {i} is not finite")
            inputs.append(mel)
        if not inputs:
            return []
        return [wave.cpu() for wave in self.generator.waves(inputs)]
