"""What a log-mel is: its parameters, compared, and the log-mel of a wave.

The mels between a mel maker and a vocoder are those of ESPnet's `LogMelFbank`: base 10,
of the magnitude spectrum. The dict of `LogMelFbank.get_parameters()` says which they
are; it may further hold `htk`, whether the bins lie on HTK's scale.
"""

from typing import Any, Dict

import numpy as np
import torch

from espnet_fsqdiff.errors import InputError

MelParameters = Dict[str, Any]


def mel_parameters(feats_extract: Any) -> MelParameters:
    """What the mels of ESPnet's `LogMelFbank` are.

    Raises:
        InputError: If they are not of base 10.
    """
    logmel = feats_extract.logmel
    if logmel.log_base != 10.0:
        raise InputError(
            f"feats_extract_conf: log_base is {logmel.log_base}; mels that are to be "
            "heard have base 10"
        )
    parameters = dict(feats_extract.get_parameters())
    if logmel.mel_options["htk"]:
        parameters["htk"] = True
    return parameters


def completed(mel: MelParameters) -> MelParameters:
    """The same parameters, in one order, without any that is left open."""
    return dict(
        fs=int(mel["fs"]),
        n_fft=int(mel["n_fft"]),
        n_shift=int(mel["n_shift"]),
        win_length=int(mel.get("win_length") or mel["n_fft"]),
        window=mel.get("window"),
        n_mels=int(mel["n_mels"]),
        fmin=float(mel.get("fmin") or 0),
        fmax=float(mel["fs"] / 2 if mel.get("fmax") is None else mel["fmax"]),
        htk=bool(mel.get("htk", False)),
    )


def describe(mel: MelParameters) -> str:
    """The parameters in a line, for messages."""
    m = completed(mel)
    scale = ", HTK scale" if m["htk"] else ""
    return (
        f"{m['fs']} Hz, n_fft {m['n_fft']}, hop {m['n_shift']}, {m['window']} window "
        f"of {m['win_length']}, {m['n_mels']} bins from {m['fmin']:g} to "
        f"{m['fmax']:g} Hz{scale}"
    )


def check_same_mel(made: MelParameters, wanted: MelParameters) -> None:
    """Refuse a vocoder that was made for other mels than those it would get.

    Args:
        made: Mels that the mel maker makes.
        wanted: Mels that the vocoder was made for.

    Raises:
        InputError: If they differ.
    """
    ours, theirs = completed(made), completed(wanted)
    differing = [name for name in ours if ours[name] != theirs[name]]
    if differing:
        raise InputError(
            f"mel maker and vocoder differ in {', '.join(differing)}: the mels made "
            f"are of {describe(made)}; the vocoder is for mels of {describe(wanted)}; "
            "give a vocoder that was trained on these mels"
        )


@torch.no_grad()
def mel_extractor(mel: MelParameters) -> Any:
    """ESPnet's `LogMelFbank` of these mels: waves (B, L), lengths to (B, F, n_mels)."""
    from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank

    options = dict(mel)
    return LogMelFbank(hop_length=options.pop("n_shift"), **options)


def log_mel(wav: np.ndarray, mel: MelParameters) -> torch.Tensor:
    """The log-mel (F, n_mels) of a wave (L,) at the mels' own rate."""
    extract = mel_extractor(mel)
    # The STFT cannot reflect less than half a window.
    wav = np.pad(wav, (0, max(0, mel["n_fft"] // 2 + 1 - len(wav))))
    speech = torch.from_numpy(np.ascontiguousarray(wav, dtype=np.float32))
    return extract(speech[None], torch.tensor([speech.numel()]))[0][0]
