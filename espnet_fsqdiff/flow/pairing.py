"""Which mel frames belong to which tokens."""

import torch

from espnet_fsqdiff.errors import InputError


def num_mel_frames(num_samples: int, hop: int) -> int:
    """Frames of a centred STFT: 1 + floor(samples / hop)."""
    return 1 + num_samples // hop


def most_difference(frames_per_token: int) -> int:
    """Mel frames by which audio and its tokens may differ for rounding alone.

    The tokenizer rounds to the nearest token, so that its tokens are up to half a
    token longer or shorter than the audio; counting at two rates, and the centred
    frame at the end, add at most one frame.
    """
    return frames_per_token // 2 + 1


def check_pair(
    utt_id: str,
    num_samples: int,
    num_tokens: int,
    fs: int,
    hop: int,
    frames_per_token: int,
) -> None:
    """Refuse audio that is not what its tokens were made of.

    Raises:
        InputError: If mel frames and tokens differ by more than `most_difference`;
            the sampling rate that would fit is named.
    """
    frames = num_mel_frames(num_samples, hop)
    wanted = num_tokens * frames_per_token
    if abs(frames - wanted) > most_difference(frames_per_token):
        fitting = num_samples / (wanted * hop) * fs
        raise InputError(
            f"{utt_id}: its {num_tokens} tokens are {wanted} mel frames, its audio is "
            f"{frames} at {fs} Hz (they would fit at about {fitting:.0f} Hz); give the "
            f"audio that the tokens were extracted from, at {fs} Hz"
        )


def pair(
    feats: torch.Tensor,
    feats_lengths: torch.Tensor,
    token_lengths: torch.Tensor,
    frames_per_token: int,
) -> torch.Tensor:
    """Cut mels to the frames of their tokens, or go on with their last frame.

    Args:
        feats: Mels (B, F', n).
        feats_lengths: Frames of each (B,).
        token_lengths: Tokens of each (B,).
        frames_per_token: Mel frames of a token.

    Returns:
        Mels (B, F, n), F = frames_per_token max(token_lengths), zero beyond the
        frames_per_token token_lengths of each.
    """
    lengths = token_lengths * frames_per_token
    frames = torch.arange(int(lengths.max()), device=feats.device)
    index = torch.minimum(frames, feats_lengths.unsqueeze(1) - 1).unsqueeze(-1)
    feats = feats.gather(1, index.expand(-1, -1, feats.size(2)))
    return feats * (frames < lengths.unsqueeze(1)).unsqueeze(-1)


def reflected(speech: torch.Tensor, lengths: torch.Tensor, margin: int) -> torch.Tensor:
    """Let each wave of a batch go on as a centred STFT lets a wave go on alone.

    The STFT reflects a batch at its common end, so that a shorter wave runs into its
    padding and its last frames depend on what stands beside it.

    Args:
        speech: Waves (B, L).
        lengths: Samples of each (B,).
        margin: Half the STFT's length.

    Returns:
        Waves (B, L + margin), each reflected at its own end, then zero.
    """
    place = torch.arange(speech.size(1) + margin, device=speech.device)
    last = lengths.unsqueeze(1) - 1
    index = torch.where(place <= last, place, 2 * last - place).clamp(min=0)
    return speech.gather(1, index) * (place <= last + margin)
