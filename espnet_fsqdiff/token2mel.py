"""Trained flow matching from speech tokens to mels, for use from Python."""

from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Union

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_fsqdiff.flow import FlowSampling, VelocityNetwork
from espnet_fsqdiff.option_types import check_options


class Token2Mel:
    """Speech tokens to log-mels, as a tokenizer's own mel decoder makes them.

    Args:
        model: The ESPnet model, in eval mode.
        sampling: Solver, steps, guidance.

    Attributes:
        mel: What the mels are (`LogMelFbank.get_parameters()`), base 10.
        fs: Sampling rate in Hz of the audio that they describe.
        frames_per_token: Mel frames of a token.
        num_codes: Codebook size K of the tokens.
        spk_embed_dim: Size of the speaker embeddings that it needs; None for none.
        max_frames: Most mel frames of an utterance.
        takes_prompts: Whether it was trained to go on from the mel of a prompt.
    """

    def __init__(self, model, sampling: FlowSampling = FlowSampling()):
        self.model = model
        self.sampling = sampling
        network = self.network
        self.mel: Dict[str, Any] = model.feats_extract.get_parameters()
        self.fs = int(self.mel["fs"])
        self.frames_per_token = network.frames_per_token
        self.num_codes = network.codebook.num_codes
        self.spk_embed_dim = network.spk_embed_dim
        self.max_frames = network.max_frames
        self.takes_prompts = model.loss.prompt_prob > 0

    @classmethod
    def from_files(
        cls,
        train_config: Union[str, Path],
        model_file: Union[str, Path],
        device: str = "cpu",
        **options: Any,
    ) -> "Token2Mel":
        """Load what the task trained.

        Args:
            train_config: Its config.yaml.
            model_file: Its weights.
            device: Where to run.
            **options: Of `FlowSampling`: num_steps, solver, guidance_scale,
                temperature, ...

        Raises:
            InputError: If a file is missing, the weights do not fit or an option is
                unknown, of another type or out of range.
        """
        from espnet_fsqdiff.tasks.common import load_model
        from espnet_fsqdiff.tasks.token2mel import Token2MelBuilder

        sampling = FlowSampling(
            **check_options("token2mel_conf", FlowSampling, options)
        )
        model, _ = load_model(Token2MelBuilder, train_config, model_file, device)
        return cls(model, sampling)

    @property
    def network(self) -> VelocityNetwork:
        """The moving average that it samples with."""
        return self.model.ema.network

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.device

    @torch.no_grad()
    def __call__(
        self,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        prompt_mel: Optional[Sequence[Optional[torch.Tensor]]] = None,
        spk_embed: Optional[Sequence[torch.Tensor]] = None,
        seeds: Optional[Sequence[int]] = None,
    ) -> torch.Tensor:
        """Mels of a batch; each utterance gets what it would get alone.

        Args:
            tokens: (B, T), int64, those of a prompt first; any in the padding.
            lengths: Tokens of each (B,).
            prompt_mel: Log-mel (P, n_mels) with which each begins, or None.
            spk_embed: Speaker embeddings (B, spk_embed_dim), where the model needs
                them.
            seeds: Of the noise, one per utterance; 0, 1, 2, ... by default.

        Returns:
            Log-mels (B, T * frames_per_token, n_mels), float32, on the CPU, of which
            `lengths * frames_per_token` frames are real and the others 0; the first P
            frames are the prompt.

        Raises:
            InputError: See `flow.generate`.
        """
        rows = [row[:n] for row, n in zip(tokens, lengths.tolist())]
        mels = self.model.generate(rows, prompt_mel, spk_embed, seeds, self.sampling)
        return pad_sequence(mels, batch_first=True)
