"""The mel decoder of a speech tokenizer as a mel maker."""

from typing import Any, Callable, Optional, Protocol, Sequence

import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav.mel import MelParameters, mel_parameters


class MelMaker(Protocol):
    """What turns speech tokens into a log-mel.

    Attributes:
        mel: What the mels are, see `token2wav.mel`.
        frames_per_token: Mel frames of a token.
        num_codes: Codebook size K.
        max_frames: Most mel frames of an utterance, None for any number.
        takes_prompts: Whether it goes on from the mel of a prompt.
    """

    mel: MelParameters
    frames_per_token: int
    num_codes: int
    max_frames: Optional[int]
    takes_prompts: bool

    @property
    def network(self) -> torch.nn.Module:
        """What it computes mels with, and nothing else."""

    def __call__(
        self,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        prompt_mel: Optional[Sequence[torch.Tensor]] = None,
        spk_embed: Optional[Sequence[torch.Tensor]] = None,
        seeds: Optional[Sequence[int]] = None,
    ) -> torch.Tensor:
        """Tokens to log-mels; each utterance gets what it would get alone.

        Args:
            tokens: (B, T), int64, those of a prompt first.
            lengths: Tokens of each (B,).
            prompt_mel: Log-mel (P * frames_per_token, n_mels) of the first P tokens
                of each.
            spk_embed: Speaker embedding (D,) of each.
            seeds: Of what is random, one for each.

        Returns:
            (B, T * frames_per_token, n_mels), the prompt's frames included.
        """


class MelDecoder:
    """A tokenizer's own decoder: fast, at the tokenizer's rate.

    Prompts it hears as tokens alone; it knows one speaker, or none, and draws nothing.

    Args:
        model: `SpeechTokenizerModel`, in eval mode.

    Attributes:
        decode: Tokens (B, T), lengths (B,) to log-mels; the network's, or another
            backend's of the same network.
    """

    max_frames = None
    takes_prompts = False

    def __init__(self, model: Any):
        self.model = model
        self.decode: Callable[..., torch.Tensor] = model.decode
        self.frames_per_token = model.frames_per_token
        self.num_codes = model.quantizer.num_codes

    @property
    def mel(self) -> MelParameters:
        """What the mels are."""
        return mel_parameters(self.model.feats_extract)

    @property
    def network(self) -> torch.nn.Module:
        """The tokenizer's decoder.

        Raises:
            InputError: If it has none.
        """
        if self.model.decoder is None:
            raise InputError("this tokenizer was trained without a mel decoder")
        return self.model.decoder

    @torch.no_grad()
    def __call__(
        self,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        prompt_mel: Optional[Sequence[torch.Tensor]] = None,
        spk_embed: Optional[Sequence[torch.Tensor]] = None,
        seeds: Optional[Sequence[int]] = None,
    ) -> torch.Tensor:
        """As `MelMaker`; seeds change nothing.

        Raises:
            InputError: If it is given a prompt's mel or a speaker, or has no decoder,
                or a token is not in the codebook.
        """
        for name, value in (("prompt_mel", prompt_mel), ("spk_embed", spk_embed)):
            if value is not None:
                raise InputError(f"the tokenizer's mel decoder takes no {name}")
        device = self.model.mel_mean.device
        return self.decode(tokens.to(device), lengths.to(device)).float()
