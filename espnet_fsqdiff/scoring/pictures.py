"""Pictures of the report: spectrograms and training curves."""

import io
from typing import List, Mapping, Sequence, Tuple

import numpy as np

from espnet_fsqdiff.scoring.acoustic import FS
from espnet_fsqdiff.scoring.curves import Curves, series, shared_keys

# Below the loudest point of a picture, what is further down than this is black.
RANGE_DB = 70.0
INK = "#22303c"
ACCENT = "#b4532a"
MAX_PANELS = 6


def _figure(width: float, height: float):
    # The object-oriented interface: no display, no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _bytes(figure, kind: str) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=110, facecolor="white")
    return out.getvalue()


def spectrogram_db(wave: np.ndarray) -> np.ndarray:
    """Return the power spectrogram in dB of `(n,)` at 16 kHz: `(257, T)`, 10 ms."""
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    window = hann(400, sym=False)
    # At least one window long, so that a word is a picture too.
    wave = np.pad(wave, (0, max(0, len(window) - len(wave))))
    power = ShortTimeFFT(window, 160, FS, mfft=512).spectrogram(wave)
    return 10.0 * np.log10(power + 1e-10)


def spectrograms(waves: Sequence[Tuple[str, np.ndarray]]) -> bytes:
    """Draw spectrograms one below the other, on one time and one colour scale.

    Args:
        waves: Name and samples `(n,)` at 16 kHz of each.

    Returns:
        A PNG file.
    """
    figure = _figure(9.0, 0.5 + 1.55 * len(waves))
    axes = figure.subplots(len(waves), 1, sharex=True, sharey=True, squeeze=False)
    power = [spectrogram_db(wave) for _, wave in waves]
    top = max(p.max() for p in power)
    seconds = max(len(wave) for _, wave in waves) / FS
    for axis, (name, wave), p in zip(axes[:, 0], waves, power):
        axis.set_facecolor("#f3f1ec")
        image = axis.imshow(
            p,
            origin="lower",
            aspect="auto",
            extent=(0.0, p.shape[1] * 0.01, 0.0, FS / 2000),
            cmap="magma",
            vmin=top - RANGE_DB,
            vmax=top,
            interpolation="nearest",
        )
        axis.set_title(name, loc="left", fontsize=10, color=INK)
        axis.set_ylabel("kHz", fontsize=8, color=INK)
        axis.tick_params(labelsize=8, colors=INK)
        axis.set_xlim(0.0, seconds)
        for side in axis.spines.values():
            side.set_visible(False)
    axes[-1, 0].set_xlabel("seconds", fontsize=8, color=INK)
    bar = figure.colorbar(image, ax=axes[:, 0].tolist(), pad=0.01, aspect=40)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.set_label("dB", fontsize=8, color=INK)
    bar.outline.set_visible(False)
    return _bytes(figure, "png")


def training_curves(curves: Curves) -> bytes:
    """Draw what training and validation report, one panel a quantity.

    Args:
        curves: See :func:`espnet_fsqdiff.scoring.curves.read_curves`.

    Returns:
        An SVG file.
    """
    keys = shared_keys(curves)[:MAX_PANELS] or ["loss"]
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure = _figure(3.0 * columns + 0.3, 2.2 * rows + 0.3)
    axes: List = list(figure.subplots(rows, columns, squeeze=False).flat)
    styles: Mapping[str, str] = {"train": INK, "valid": ACCENT}
    for axis, key in zip(axes, keys):
        for subset, colour in styles.items():
            epochs, values = series(curves, subset, key)
            marker = "o" if len(epochs) < 15 else None
            axis.plot(
                epochs, values, color=colour, lw=1.3, marker=marker, ms=3, label=subset
            )
        axis.set_title(key, loc="left", fontsize=9, color=INK)
        axis.tick_params(labelsize=8, colors=INK)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.25, lw=0.5)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    for axis in axes[len(keys) :]:
        axis.set_axis_off()
    axes[0].legend(fontsize=8, frameon=False)
    for axis in axes[max(0, len(keys) - columns) : len(keys)]:
        axis.set_xlabel("epoch", fontsize=8, color=INK)
    return _bytes(figure, "svg")
