"""The velocity network: from noisy mel, time and tokens to dx/dt."""

from typing import NamedTuple, Optional

import torch
from torch import nn

from espnet_fsqdiff.codebook import Codebook
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.nets.convnext import ConvNeXtStack
from espnet_fsqdiff.nets.masks import length_mask


class Condition(NamedTuple):
    """What the velocity depends on beside x and t; the same at all steps.

    Attributes:
        vectors: Of tokens and speaker (B, F, dim).
        prompt: Standardised clean mel where it is given, else zeros (B, F, n_mels).
        mask: True on real frames (B, F).
    """

    vectors: torch.Tensor
    prompt: torch.Tensor
    mask: torch.Tensor


class TokenEncoder(nn.Module):
    """Speech tokens to one vector for each mel frame.

    A token is read as its point in the codebook, through a linear layer, and not by
    an embedding of its own: points that are neighbours in the FSQ grid sound alike,
    so what is learnt of one token serves those beside it, also the many that a small
    corpus never shows; and n dim weights take the place of K dim. ConvNeXt blocks at
    the token rate then see the context. Every vector is repeated for the frames of
    its token, and a learnt vector added for the place in it.

    Args:
        codebook: Of the tokens.
        dim: Width.
        num_layers: ConvNeXt blocks.
        frames_per_token: Mel frames of a token.
        kernel_size: Tokens a block sees, odd.
        dropout: Rate inside the blocks.
    """

    def __init__(
        self,
        codebook: Codebook,
        dim: int = 256,
        num_layers: int = 4,
        frames_per_token: int = 2,
        kernel_size: int = 7,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.dim = dim
        self.frames_per_token = frames_per_token
        self.codebook = codebook
        self.proj = nn.Linear(codebook.dim, dim)
        self.stack = ConvNeXtStack(
            dim, num_layers, kernel_size=kernel_size, dropout=dropout
        )
        self.place = nn.Parameter(0.02 * torch.randn(frames_per_token, dim))

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T) of lengths (B,) to (B, T * frames_per_token, dim).

        Raises:
            InputError: If a token is outside the codebook.
        """
        x = self.proj(self.codebook.embed(tokens))
        x = self.stack(x, length_mask(lengths, tokens.size(1)))
        return (x.unsqueeze(2) + self.place).flatten(1, 2)


class VelocityNetwork(nn.Module):
    """v(x_t, t | tokens, speaker, prompt) on standardised log-mels.

    Args:
        token_encoder: Tokens to vectors at the mel rate.
        backbone: Noisy mel (B, F, n_mels), times (B,), prompt, vectors, mask to
            features; as `DiT`.
        n_mels: Mel bins.
        spk_embed_dim: Size of speaker embeddings; None for a model without.

    Attributes:
        mel_mean: Mean of each bin (n_mels,) in the training set, saved with the
            weights; x is (mel - mel_mean) / mel_std.
        mel_std: Standard deviation of each (n_mels,).
    """

    def __init__(
        self,
        token_encoder: TokenEncoder,
        backbone: nn.Module,
        n_mels: int,
        spk_embed_dim: Optional[int] = None,
    ):
        super().__init__()
        dim = token_encoder.dim
        self.n_mels = n_mels
        self.spk_embed_dim = spk_embed_dim
        self.token_encoder = token_encoder
        self.speaker = None
        if spk_embed_dim is not None:
            self.speaker = nn.Linear(spk_embed_dim, dim)
        # Stands for all that is withheld.
        self.nothing = nn.Parameter(torch.zeros(dim))
        self.backbone = backbone
        self.output = nn.Linear(backbone.output_size(), n_mels)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.register_buffer("mel_mean", torch.zeros(n_mels))
        self.register_buffer("mel_std", torch.ones(n_mels))

    @property
    def frames_per_token(self) -> int:
        """Mel frames of a token."""
        return self.token_encoder.frames_per_token

    @property
    def codebook(self) -> Codebook:
        """Of the tokens."""
        return self.token_encoder.codebook

    @property
    def max_frames(self) -> int:
        """Most mel frames that it takes."""
        return self.backbone.max_frames

    def set_mel_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Set the mean and standard deviation (n_mels,) that mels are scaled by.

        Raises:
            InputError: If they are of other mels or useless.
        """
        if mean.shape != self.mel_mean.shape:
            raise InputError(
                f"the mel statistics are of {mean.numel()} bins, the model has "
                f"{self.n_mels}; run the statistics stage again"
            )
        if not torch.isfinite(mean).all() or not (std > 0).all():
            raise InputError(
                "the mel statistics are not finite or have no spread; "
                "run the statistics stage again"
            )
        self.mel_mean.copy_(mean)
        self.mel_std.copy_(std)

    def standardise(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (..., n_mels) to zero mean and unit variance."""
        return (mel - self.mel_mean) / self.mel_std

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """The reverse of `standardise`."""
        return x * self.mel_std + self.mel_mean

    def condition(
        self,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        spk_embed: Optional[torch.Tensor] = None,
        prompt: Optional[torch.Tensor] = None,
        drop: Optional[torch.Tensor] = None,
    ) -> Condition:
        """What the velocity depends on; once per utterance, not once per step.

        Args:
            tokens: (B, T), int64, any of the codebook in the padding.
            lengths: Tokens of each (B,).
            spk_embed: Speaker embeddings (B, spk_embed_dim) of any length, for a
                model with them.
            prompt: Standardised clean mel where it is given, else zeros
                (B, T * frames_per_token, n_mels); None for none.
            drop: True where tokens, speaker and prompt are withheld (B,).
        """
        vectors = self.token_encoder(tokens, lengths)
        if self.speaker is not None:
            direction = nn.functional.normalize(spk_embed.float(), dim=-1)
            vectors = vectors + self.speaker(direction).unsqueeze(1)
        frames = vectors.size(1)
        mask = length_mask(lengths * self.frames_per_token, frames)
        if prompt is None:
            prompt = vectors.new_zeros(*vectors.shape[:2], self.n_mels)
        if drop is None:
            drop = torch.zeros_like(lengths, dtype=torch.bool)
        drop = drop.view(-1, 1, 1)
        # Whatever is dropped, all parameters take part: gradients of several
        # processes can be averaged.
        vectors = torch.where(drop, self.nothing.to(vectors.dtype), vectors)
        return Condition(vectors, prompt.masked_fill(drop, 0.0), mask)

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, condition: Condition
    ) -> torch.Tensor:
        """dx/dt (B, F, n_mels), float32, zero on padded frames.

        Args:
            x: Noisy standardised mel (B, F, n_mels).
            t: Times (B,) in [0, 1].
            condition: What `condition` gives.
        """
        mask = condition.mask.unsqueeze(-1)
        features = self.backbone(
            x * mask, t, condition.prompt, condition.vectors, condition.mask
        )
        return self.output(features).float() * mask
