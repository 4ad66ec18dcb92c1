"""Speech tokenizer: log-mel -> encoder -> quantizer -> recognizer and mel decoder.

The recognition head (CTC on the text) makes the tokens say what was spoken, as
in supervised semantic tokenizers; the mel decoder makes them audible.
"""

from typing import Dict, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import nn
from torch.nn import functional as F

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.fsq import FSQ
from espnet_fsqdiff.kernel_cache import rounded_length
from espnet_fsqdiff.nets.masks import length_mask, masked_mean, pad_batch
from espnet_fsqdiff.rvq import ResidualVQ
from espnet_fsqdiff.tokenizer.augment import MelAugment

FOLLOW = 0.01
MAX_CONTRAST = 1.5


class TokenizerOutput(NamedTuple):
    """What the tokenizer makes of a batch.

    Attributes:
        tokens: Indices (B, T), int64; 0 on padded frames.
        codes: Points of the tokens (B, T, n), float32; 0 on padded frames.
        lengths: Tokens of each utterance (B,).
        latents: What was quantized (B, T, n).
    """

    tokens: torch.Tensor
    codes: torch.Tensor
    lengths: torch.Tensor
    latents: torch.Tensor


def usage_loss(latents: torch.Tensor) -> torch.Tensor:
    """Distance of latents (N, n) from zero mean and unit covariance.

        mean_i m_i^2 + mean_ij (C - I)_ij^2,    m, C their mean and covariance

    tanh(x) = 1/2 at x = 0.55, so three levels of a standard normal latent are
    used in 29, 42 and 29 of 100 frames, and the dimensions do not repeat each
    other (the covariance term of VICReg, Bardes et al., 2022).
    """
    mean = latents.mean(0)
    centred = latents - mean
    covariance = centred.T @ centred / max(1, latents.size(0) - 1)
    identity = torch.eye(latents.size(1), device=latents.device)
    return mean.square().mean() + (covariance - identity).square().mean()


def mel_l1(error: torch.Tensor, frames: torch.Tensor, scale: int) -> torch.Tensor:
    """Mean size of the error after averaging it over squares of the mel picture.

    At scale 1 the plain L1. At larger scales only what harmonics and noise have
    in common counts, the formants and their movement, which carry the words.

    Args:
        error: Signed error (B, F, n_mels), 0 on padded frames.
        frames: Frames of each utterance (B,).
        scale: Frames and bands of a square.

    Returns:
        Mean over the frames of an utterance, then over utterances (scalar).
    """
    if scale > 1:
        pooled = F.avg_pool2d(
            error.unsqueeze(1), scale, ceil_mode=True, count_include_pad=False
        ).squeeze(1)
        # An utterance's last square may reach into the padding of its batch.
        real = length_mask(frames, error.size(1)).to(error)
        share = F.avg_pool1d(
            real.unsqueeze(1), scale, ceil_mode=True, count_include_pad=False
        )
        error = pooled / share.transpose(1, 2).clamp(min=1 / scale)
        frames = torch.div(frames + scale - 1, scale, rounding_mode="floor")
    mask = length_mask(frames, error.size(1))
    return masked_mean(error.abs().mean(-1), mask).mean()


class SpeechTokenizerModel(nn.Module):
    """The network, with its parts injected.

    Args:
        feats_extract: Wave (B, L), lengths -> log-mel (B, F, n_mels), lengths
            (ESPnet's `LogMelFbank`).
        encoder: Stacked mels (B, T, n_mels * frames_per_token), lengths ->
            (B, T, D), lengths, _ (an ESPnet encoder that keeps the rate).
        quantizer: `FSQ` or `ResidualVQ`.
        decoder: Codes (B, T, n), lengths -> (B, T, n_mels * frames_per_token);
            None for a tokenizer that is only trained to recognise.
        recognizer: Codes (B, T, n), lengths -> (B, T, V + 1) with the blank
            first; None for one that is only trained to reconstruct.
        frames_per_token: Mel frames in one token.
        mel_weight: Weight of the mel loss.
        ctc_weight: Weight of the CTC loss.
        usage_weight: Weight of the usage loss, which makes the latents white
            before they are rounded, so that all codes are used.
        mel_scales: Squares of frames and bands over which the mel loss averages
            the error before its size is taken, summed up; see `mel_l1`.
        augment: What the encoder gets to see in training; None for the mels
            themselves.
        match_variance: How far `decode` gives every mel band the spread it has in
            the training set, 1 for all of it. A decoder trained for the least
            error plays it safe and speaks with too little contrast; the "global
            variance" of Toda and Tokuda (2007) puts that right. Above 1 makes up
            for new speech being decoded with less contrast than that of training.

    Raises:
        InputError: If both weights are zero, or one has no head.
    """

    def __init__(
        self,
        feats_extract: nn.Module,
        encoder: nn.Module,
        quantizer: Union[FSQ, ResidualVQ],
        decoder: Optional[nn.Module],
        recognizer: Optional[nn.Module],
        frames_per_token: int = 4,
        mel_weight: float = 1.0,
        ctc_weight: float = 0.2,
        usage_weight: float = 0.0,
        mel_scales: Sequence[int] = (1,),
        augment: Optional[MelAugment] = None,
        match_variance: float = 1.0,
    ):
        super().__init__()
        if mel_weight <= 0 and ctc_weight <= 0:
            raise InputError("mel_weight and ctc_weight are both 0; give one of them")
        if (mel_weight > 0) != (decoder is not None):
            raise InputError("mel_weight > 0 needs a decoder, and only then")
        if (ctc_weight > 0) != (recognizer is not None):
            raise InputError("ctc_weight > 0 needs a recognizer, and only then")
        self.feats_extract = feats_extract
        self.encoder = encoder
        self.quantizer = quantizer
        self.projection = nn.Sequential(
            nn.LayerNorm(encoder.output_size()),
            nn.Linear(encoder.output_size(), quantizer.dim),
        )
        self.decoder = decoder
        self.recognizer = recognizer
        self.frames_per_token = frames_per_token
        self.mel_weight = mel_weight
        self.ctc_weight = ctc_weight
        self.usage_weight = usage_weight
        self.mel_scales = tuple(mel_scales)
        self.augment = augment
        n_mels = feats_extract.output_size()
        self.register_buffer("mel_mean", torch.zeros(n_mels))
        self.register_buffer("mel_std", torch.ones(n_mels))
        # Running moments of what the decoder makes of standardised mels.
        self.match_variance = match_variance
        self.register_buffer("decoded_mean", torch.zeros(n_mels))
        self.register_buffer("decoded_square", torch.ones(n_mels))

    def set_mel_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Set the mean and standard deviation (n_mels,) that mels are scaled by."""
        if not torch.isfinite(mean).all() or not (std > 0).all():
            raise InputError(
                "the mel statistics are not finite or have no spread; "
                "run the tokenizer statistics stage again"
            )
        self.mel_mean.copy_(mean)
        self.mel_std.copy_(std)

    def mel(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Standardised log-mel, cut into tokens.

        Args:
            speech: Waves (B, L).
            speech_lengths: Samples of each (B,).

        Returns:
            Stacked mels (B, T, n_mels * frames_per_token), zero on padded
            frames, and tokens of each utterance (B,), see `stack`.
        """
        return self.stack(*self._frames(speech, speech_lengths))

    @torch.no_grad()
    def _frames(self, speech, speech_lengths):
        """Waves to standardised log-mels (B, F, n_mels) and their frames (B,)."""
        with torch.autocast(speech.device.type, enabled=False):
            feats, lengths = self.feats_extract(speech.float(), speech_lengths)
            return (feats - self.mel_mean) / self.mel_std, lengths

    def stack(
        self, feats: torch.Tensor, feats_lengths: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Lay the mel frames of a token side by side.

        Args:
            feats: Mels (B, F, n_mels).
            feats_lengths: Frames of each (B,).

        Returns:
            Stacked mels (B, T, n_mels * frames_per_token), zero on padded
            frames, and tokens of each utterance (B,), at least 1: its mel frames
            divided by `frames_per_token`, rounded to the nearest; the last real
            frame is repeated where the last token needs it.
        """
        n = self.frames_per_token
        lengths = torch.div(feats_lengths + n // 2, n, rounding_mode="floor").clamp(1)
        frames = torch.arange(int(lengths.max()) * n, device=feats.device)
        index = torch.minimum(frames, feats_lengths.unsqueeze(1) - 1)
        feats = feats.gather(1, index.unsqueeze(-1).expand(-1, -1, feats.size(2)))
        feats = feats * (frames < n * lengths.unsqueeze(1)).unsqueeze(-1)
        return feats.reshape(feats.size(0), frames.numel() // n, -1), lengths

    def encode(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> TokenizerOutput:
        """Waves (B, L) of lengths (B,) to tokens."""
        return self.encode_mel(*self.mel(speech, speech_lengths))

    def encode_mel(self, mel: torch.Tensor, lengths: torch.Tensor) -> TokenizerOutput:
        """Stacked mels (B, T, n_mels * frames_per_token) as `mel` makes them."""
        latents = self.projection(self.encoder(mel, lengths)[0]).float()
        mask = length_mask(lengths, mel.size(1))
        # Real frames alone: a quantizer that learns shall not see the padding.
        real_codes, real_tokens = self.quantizer(latents[mask])
        codes = torch.zeros_like(latents).masked_scatter(mask.unsqueeze(-1), real_codes)
        tokens = torch.zeros_like(mask, dtype=torch.int64)
        tokens = tokens.masked_scatter(mask, real_tokens)
        return TokenizerOutput(tokens, codes, lengths, latents)

    def decode(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T) of lengths (B,) to log-mel (B, T * frames_per_token, n_mels).

        Raises:
            InputError: If there is no mel decoder or a token is not in the codebook.
        """
        if self.decoder is None:
            raise InputError(
                "this tokenizer was trained without a mel decoder; "
                "train one with mel_weight > 0"
            )
        length = tokens.size(1)
        if tokens.device.type == "cpu":
            # Few lengths, see `kernel_cache`.
            tokens = pad_batch(tokens, rounded_length(length))
        mel = self.decode_codes(self.quantizer.indices_to_codes(tokens), lengths)
        return mel[:, : length * self.frames_per_token]

    def decode_codes(self, codes: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """As `decode`, from the points (B, T, n) of the tokens."""
        stacked = self.decoder(codes, lengths)
        mel = stacked.reshape(codes.size(0), -1, self.mel_mean.numel())
        if self.match_variance > 0:
            mel = (mel - self.decoded_mean) * self.contrast()
        return mel * self.mel_std + self.mel_mean

    def contrast(self) -> torch.Tensor:
        """Factor of every mel band (n_mels,) that makes decoded mels vary as real ones.

            1 + m (1 / s - 1),    s^2 = E[d^2] - E[d]^2

        of the decoded standardised mels d, whose originals have mean 0 and
        variance 1; m is `match_variance`, and 1 / s from 1 to `MAX_CONTRAST`.
        """
        variance = self.decoded_square - self.decoded_mean.square()
        full = variance.clamp(min=MAX_CONTRAST**-2, max=1.0).rsqrt()
        return 1 + self.match_variance * (full - 1)

    @torch.no_grad()
    def _follow(self, decoded: torch.Tensor) -> None:
        """Update the running moments by decoded frames (N, n_mels)."""
        self.decoded_mean.lerp_(decoded.mean(0), FOLLOW)
        self.decoded_square.lerp_(decoded.square().mean(0), FOLLOW)

    def ctc_log_probs(self, codes: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (B, T, V + 1) of the text symbols, the blank first."""
        if self.recognizer is None:
            raise InputError(
                "this tokenizer was trained without a recognition head; "
                "train one with ctc_weight > 0"
            )
        return self.recognizer(codes, lengths).float().log_softmax(-1)

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: Optional[torch.Tensor] = None,
        text_lengths: Optional[torch.Tensor] = None,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor], TokenizerOutput]:
        """Training loss.

        Args:
            speech: Waves (B, L).
            speech_lengths: Samples of each (B,).
            text: Symbol ids (B, S) from 0, any padding; needed by the CTC loss.
            text_lengths: Symbols of each (B,).

        Returns:
            The loss (scalar), its parts `mel_loss` (mean L1 on standardised
            mels), `ctc_loss` (nats per symbol) and what the quantizer adds
            (`penalty`), and the encoder's output.
        """
        feats, feats_lengths = self._frames(speech, speech_lengths)
        if self.training and self.augment is not None:
            feats, feats_lengths = self.augment.warp(feats, feats_lengths)
            seen, _ = self.stack(self.augment.mask(feats, feats_lengths), feats_lengths)
            mel, lengths = self.stack(feats, feats_lengths)
        else:
            mel, lengths = self.stack(feats, feats_lengths)
            seen = mel
        output = self.encode_mel(seen, lengths)
        codes, mask = output.codes, length_mask(lengths, mel.size(1))
        loss, stats = self.quantizer.penalty(output.latents[mask], codes[mask])
        if self.usage_weight > 0:
            stats["usage_loss"] = usage_loss(output.latents[mask])
            loss = loss + self.usage_weight * stats["usage_loss"]
        if self.decoder is not None:
            decoded = self.decoder(codes, lengths).float()
            if self.training:
                frames = decoded.detach()[mask].unflatten(
                    -1, (-1, self.mel_std.numel())
                )
                self._follow(frames.flatten(0, 1))
            error = (decoded - mel) * mask.unsqueeze(-1)
            error = error.unflatten(-1, (self.frames_per_token, -1)).flatten(1, 2)
            frames = lengths * self.frames_per_token
            stats["mel_loss"] = mel_l1(error, frames, 1)
            for scale in self.mel_scales:
                loss = loss + self.mel_weight * mel_l1(error, frames, scale)
        if self.recognizer is not None:
            log_probs = self.ctc_log_probs(codes, lengths)
            ctc = F.ctc_loss(
                log_probs.transpose(0, 1),
                text + 1,
                lengths,
                text_lengths,
                blank=0,
                reduction="none",
                zero_infinity=True,
            )
            stats["ctc_loss"] = (ctc / text_lengths.clamp(min=1)).mean()
            loss = loss + self.ctc_weight * stats["ctc_loss"]
        return loss, stats, output
