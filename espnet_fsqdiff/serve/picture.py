"""The picture of a mel."""

import io
from typing import Any

import numpy as np

from espnet_fsqdiff.plotting import INK, new_figure

# Powers of ten below the loudest point; what is further down is the darkest colour.
RANGE = 3.5


def draw_mel(mel: Any, seconds: float) -> bytes:
    """Draw a log-mel (F, n_mels), base 10.

    Args:
        mel: Array or tensor.
        seconds: What it lasts.

    Returns:
        A PNG file.
    """
    mel = np.asarray(mel, dtype=np.float32)
    figure = new_figure(9.0, 2.4)
    axis = figure.subplots()
    top = float(mel.max())
    axis.imshow(
        mel.T,
        origin="lower",
        aspect="auto",
        extent=(0.0, seconds, 0.0, mel.shape[1]),
        cmap="magma",
        vmin=top - RANGE,
        vmax=top,
    )
    axis.set_xlabel("seconds", fontsize=8, color=INK)
    axis.set_ylabel("mel band", fontsize=8, color=INK)
    axis.tick_params(labelsize=8, colors=INK)
    for side in axis.spines.values():
        side.set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, facecolor="white")
    return file.getvalue()
