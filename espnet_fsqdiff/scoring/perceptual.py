"""Quality and intelligibility of a copy, as models of hearing predict them.

PESQ comes from the package `pesq`, which is compiled where it is installed (its C
code is the reference of ITU-T P.862, whose use may need a licence); STOI from `pystoi`.
Each is optional; `installed` tells.
"""

import importlib.util
import warnings
from importlib.metadata import version
from typing import Dict, Optional

import numpy as np

from espnet_fsqdiff.errors import InputError

FS = 16000
_SHORTEST_SECONDS = 0.4


def installed(package: str) -> bool:
    """Whether `pesq` or `pystoi` can be imported."""
    return importlib.util.find_spec(package) is not None


def versions() -> Dict[str, Optional[str]]:
    """Versions of both packages; None where one is not installed."""
    return {p: version(p) if installed(p) else None for p in ("pesq", "pystoi")}


def _require(package: str) -> None:
    if not installed(package):
        raise InputError(f"{package} is not installed; pip install {package}")


def wideband_pesq(reference: np.ndarray, wave: np.ndarray) -> Optional[float]:
    """Predict how listeners would rate a copy: PESQ, wide band (ITU-T P.862.2).

    Level and delay are put right within the measure.

    Args:
        reference: Samples `(n,)` at 16 kHz.
        wave: Samples `(m,)` at 16 kHz.

    Returns:
        Mean opinion score (MOS-LQO), 1.0 to 4.64, the latter for equal signals; None
        if PESQ finds no speech, or less than a quarter of a second.

    Raises:
        InputError: pesq is not installed.
    """
    _require("pesq")
    import pesq

    # It scales both by one factor to the peak, so that range and type do not count.
    a, b = (np.asarray(x, dtype=np.float64) for x in (reference, wave))
    try:
        return float(pesq.pesq(FS, a, b, "wb"))
    except (pesq.NoUtterancesError, pesq.BufferTooShortError):
        return None


def intelligibility(
    reference: np.ndarray, wave: np.ndarray, extended: bool = False
) -> Optional[float]:
    """Predict how well a copy can be understood: STOI (Taal et al., 2011).

    Level does not count, a delay does.

    Args:
        reference: Samples `(n,)` at 16 kHz.
        wave: Samples `(n,)` at 16 kHz, in time with the reference.
        extended: ESTOI (Jensen and Taal, 2016) instead, which correlates whole
            spectra and tells vocoders further apart.

    Returns:
        A correlation, at most 1, for equal signals; around 0 for unrelated ones. None
        if the reference has less than 0.4 s of sound.

    Raises:
        InputError: pystoi is not installed.
        ValueError: They differ in length.
    """
    _require("pystoi")
    from pystoi import stoi

    if len(reference) != len(wave):
        raise ValueError(f"{len(reference)} and {len(wave)} samples")
    # pystoi leaves pauses out and needs 30 of its frames of the rest.
    if len(reference) < _SHORTEST_SECONDS * FS:
        return None
    # Extended STOI adds noise of 1e-16 from numpy's global generator.
    state = np.random.get_state()
    np.random.seed(0)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            value = float(stoi(reference, wave, FS, extended=extended))
    finally:
        np.random.set_state(state)
    if any("Not enough STFT frames" in str(w.message) for w in said):
        return None
    return value
