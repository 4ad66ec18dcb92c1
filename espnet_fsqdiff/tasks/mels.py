"""What tasks that make mels share: the mel options, token rate, statistics."""

import argparse
from typing import Any, Dict, Tuple

import numpy as np
import torch
from espnet2.train.class_choices import ClassChoices
from espnet2.tts.feats_extract.abs_feats_extract import AbsFeatsExtract
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.option_types import check_options, shown
from espnet_fsqdiff.tasks.building import make_part

feats_extract_choices = ClassChoices(
    "feats_extract",
    classes=dict(log_mel_fbank=LogMelFbank),
    type_check=AbsFeatsExtract,
    default="log_mel_fbank",
)


# Larger ones are no mels of speech, and take memory.
MAX_FFT, MAX_MELS = 65536, 1024


def build_feats_extract(args: argparse.Namespace) -> LogMelFbank:
    """What makes the mels.

    Raises:
        InputError: If its options are none of its, or it would be too large.
    """
    conf = check_options("feats_extract_conf", LogMelFbank, args.feats_extract_conf)
    for name, most in (("n_fft", MAX_FFT), ("n_mels", MAX_MELS)):
        size = conf.get(name)
        if isinstance(size, int) and size > most:
            raise InputError(
                f"feats_extract_conf: {name} is {shown(size)}; give at most {most}"
            )
    return make_part(feats_extract_choices, args)


def frames_of_token(parameters: Dict[str, Any], token_rate: float) -> int:
    """Mel frames in one token, which has to be a whole number.

    Args:
        parameters: What the mels are (`LogMelFbank.get_parameters()`).
        token_rate: Tokens a second.

    Raises:
        InputError: If it is none.
    """
    mel_rate = parameters["fs"] / parameters["n_shift"]
    frames = round(mel_rate / token_rate)
    if frames < 1 or abs(frames * token_rate - mel_rate) > 1e-6 * mel_rate:
        raise InputError(
            f"{mel_rate:g} mel frames a second are no multiple of token_rate "
            f"{token_rate:g}; change hop_length or token_rate"
        )
    return frames


def read_mel_stats(path: str) -> Tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (n_mels,) from ESPnet's collected sums."""
    try:
        with np.load(path, allow_pickle=False) as stats:
            count, total, square = (stats[k] for k in ("count", "sum", "sum_square"))
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing; make it in the statistics stage"
        ) from None
    except Exception as e:  # numpy raises whatever the bytes lead it to
        reason = " ".join(str(e).split())
        raise InputError(
            f"{path} is damaged ({reason}); make it again in the statistics stage"
        ) from None
    mean = total / count
    std = np.sqrt(np.maximum(square / count - mean**2, 1e-10))
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()
