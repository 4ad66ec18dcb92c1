"""A chain from tokens to waves, made of options and files."""

import importlib
import inspect
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Union

import numpy as np
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.option_types import check_types, hints_of
from espnet_fsqdiff.token2wav.chain import Chain, TokenToWave
from espnet_fsqdiff.token2wav.mel import MelParameters
from espnet_fsqdiff.token2wav.mel_decoder import MelMaker
from espnet_fsqdiff.token2wav.vocoder import Vocoder, griffin_lim

PathLike = Union[str, Path]

# Needs the files of a training; takes tokens and not mels.
TRAINED, COSYVOICE2 = "trained", "cosyvoice2"


# Modules of other people's vocoders, imported where they are asked for.
EXTERNAL = {"parallel_wavegan": "ParallelWaveGAN", "vocos": "Vocos"}
VOCODERS = ("griffin_lim", *EXTERNAL)


def _maker(name: str) -> Callable[..., Vocoder]:
    if name not in EXTERNAL:
        return griffin_lim
    module = importlib.import_module(f"espnet_fsqdiff.token2wav.external.{name}")
    return getattr(module, EXTERNAL[name])


def build_vocoder(
    name: str,
    mel: MelParameters,
    conf: Optional[Dict[str, Any]] = None,
    device: str = "cpu",
) -> Vocoder:
    """Make a vocoder by name.

    Args:
        name: One of `VOCODERS`.
        mel: What the mels are that it will get.
        conf: Its own options.
        device: Where it runs.

    Raises:
        InputError: If there is none of that name, it has no such option, or it is not
            for these mels.
    """
    if name not in VOCODERS:
        known = ", ".join([*VOCODERS, TRAINED, COSYVOICE2])
        raise InputError(f"vocoder {name!r} is unknown; choose one of {known}")
    return _with_options(_maker(name), name, conf, mel=mel, device=device)


def _with_options(make: Callable, name: str, conf: Optional[Dict], **given: Any) -> Any:
    """Call what makes a vocoder with the options of its users, checked.

    Raises:
        InputError: If one is missing, or is no option of it.
    """
    parameters = inspect.signature(make).parameters
    known = [option for option in parameters if option not in given]
    conf = {} if conf is None else conf
    check_types("", dict(vocoder_conf=dict), dict(vocoder_conf=conf))
    for option in conf:
        if option not in known:
            raise InputError(
                f"vocoder_conf: {name} has no option {option}; it has "
                f"{', '.join(known)}"
            )
    check_types("vocoder_conf", hints_of(make), conf)
    for option in known:
        if parameters[option].default is inspect.Parameter.empty and option not in conf:
            raise InputError(f"vocoder_conf: {name} needs {option}")
    return make(**given, **conf)


def load_chain(
    mel_decoder: Optional[MelMaker],
    vocoder: Optional[str] = None,
    vocoder_conf: Optional[Dict[str, Any]] = None,
    vocoder_train_config: Optional[PathLike] = None,
    vocoder_file: Optional[PathLike] = None,
    token2mel_config: Optional[PathLike] = None,
    token2mel_file: Optional[PathLike] = None,
    token2mel_conf: Optional[Dict[str, Any]] = None,
    device: str = "cpu",
) -> Chain:
    """What makes tokens audible.

    Args:
        mel_decoder: That of the tokenizer, for want of a `Token2Mel`; None if it has
            none.
        vocoder: `griffin_lim`, `parallel_wavegan`, `vocos`; `trained`, by the recipe;
            or `cosyvoice2`, which takes tokens and so leaves no place for a Token2Mel.
            By default `trained` if there are its files, else `griffin_lim`.
        vocoder_conf: Options of the vocoder; `trained` has none.
        vocoder_train_config: config.yaml of a trained vocoder.
        vocoder_file: Its weights.
        token2mel_config: config.yaml of flow matching from tokens to mels.
        token2mel_file: Its weights.
        token2mel_conf: How it samples, see `flow.FlowSampling`; and `spk_embed`, a
            .npy file of the speaker embedding (D,), where it was trained with them.
        device: Where to run.

    Raises:
        InputError: If files are missing, or what is given does not go together.
    """
    vocoder_files = _pair(vocoder_train_config, vocoder_file, "vocoder_train_config")
    token2mel_files = _pair(token2mel_config, token2mel_file, "token2mel_config")
    if vocoder is None:
        vocoder = TRAINED if vocoder_files else "griffin_lim"
    if (vocoder == TRAINED) != bool(vocoder_files):
        raise InputError(
            f"vocoder is {vocoder}; it goes with vocoder_train_config and vocoder_file "
            "if it is trained, and only then"
        )
    check_types(
        "", dict(token2mel_conf=Optional[dict]), dict(token2mel_conf=token2mel_conf)
    )
    if token2mel_conf and not token2mel_files:
        raise InputError("token2mel_conf goes with token2mel_config and token2mel_file")
    if vocoder == COSYVOICE2:
        if token2mel_files:
            raise InputError(
                "vocoder cosyvoice2 makes waves of tokens; leave token2mel_config out"
            )
        from espnet_fsqdiff.token2wav.external.cosyvoice2 import CosyVoice2TokenToWave

        made = CosyVoice2TokenToWave.from_directory
        return _with_options(made, vocoder, vocoder_conf, device=device)
    mel_maker, spk_embed = mel_decoder, None
    if token2mel_files:
        from espnet_fsqdiff.token2mel import Token2Mel

        sampling = dict(token2mel_conf or {})
        if "spk_embed" in sampling:
            spk_embed = _read_embedding(sampling.pop("spk_embed"))
        mel_maker = Token2Mel.from_files(*token2mel_files, device=device, **sampling)
    if mel_maker is None:
        raise InputError(
            "this tokenizer has no mel decoder; give token2mel_config and "
            "token2mel_file, or vocoder: cosyvoice2"
        )
    if vocoder == TRAINED:
        if vocoder_conf:
            raise InputError("vocoder_conf: a trained vocoder has no options")
        from espnet_fsqdiff.vocoder import TrainedVocoder

        made = TrainedVocoder.from_files(*vocoder_files, device=device)
    else:
        made = build_vocoder(vocoder, mel_maker.mel, vocoder_conf, device)
    return TokenToWave(mel_maker, made, spk_embed)


def _read_embedding(path: PathLike) -> torch.Tensor:
    """A speaker embedding (D,).

    Raises:
        InputError: If it is no .npy file of finite floating-point numbers.
    """
    check_types("token2mel_conf", dict(spk_embed=PathLike), dict(spk_embed=path))
    where = f"token2mel_conf: spk_embed: {path}"
    try:
        with open(path, "rb") as f:
            embedding = np.lib.format.read_array(f, allow_pickle=False)
    except (OSError, ValueError) as e:
        reason = " ".join(str(e).split())
        raise InputError(f"{where}: {reason}; give a .npy file") from None
    numbers = embedding.dtype.kind == "f" and embedding.size > 0
    if not numbers or not np.isfinite(embedding).all():
        raise InputError(f"{where}: no finite numbers; extract it again")
    return torch.from_numpy(embedding).float().flatten()


def _pair(config: Optional[PathLike], file: Optional[PathLike], name: str) -> tuple:
    """Both or none of two files.

    Raises:
        InputError: If one is missing.
    """
    if (config is None) != (file is None):
        other = name.replace("train_config", "file").replace("config", "file")
        raise InputError(f"{name} and {other} go together; give both or neither")
    return () if config is None else (config, file)
