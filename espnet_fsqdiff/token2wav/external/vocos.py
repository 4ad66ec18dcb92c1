"""Vocos vocoders (Siuzdak, 2023), of the package `vocos`.

A Vocos of mels wants natural logarithms of magnitudes in bins on HTK's scale that are
not normalised, floored at 1e-7 (`MelSpectrogramFeatures`; torchaudio's defaults). The
mels of this package have base 10, normalised bins, and mostly Slaney's scale. Where
all else is the same and the scale is HTK's, one becomes the other exactly: a factor
for each bin. Otherwise `convert: true` gives what can be had, see `external.convert`:
the public Vocos at 24 kHz has frames of 10.67 ms, which no mel maker with whole frames
a token has.
"""

from pathlib import Path
from typing import Any, Dict, List, Sequence, Union

import numpy as np
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.states import read_states
from espnet_fsqdiff.token2wav.external import require
from espnet_fsqdiff.token2wav.mel import MelParameters, completed, describe
from espnet_fsqdiff.yaml_files import read_yaml

NAME = "vocoder vocos"
FLOOR = 1e-7
FEATURES = "vocos.feature_extractors.MelSpectrogramFeatures"
# What a configuration may name: its classes are looked up here and imported from
# nowhere else.
PARTS = {
    "backbone": ("vocos.models.VocosBackbone", "vocos.models.VocosResNetBackbone"),
    "head": (
        "vocos.heads.ISTFTHead",
        "vocos.heads.IMDCTSymExpHead",
        "vocos.heads.IMDCTCosHead",
    ),
}
DEFAULTS = dict(sample_rate=24000, n_fft=1024, hop_length=256, n_mels=100)


class Vocos:
    """A trained Vocos of mels.

    Args:
        mel: The mels that it will get.
        config_file: Its `config.yaml`.
        model_file: Its weights, `pytorch_model.bin`.
        convert: Whether to convert mels that are not its own, at some loss.
        device: Where it runs.

    Raises:
        InputError: If `vocos` is not installed, a file is missing or does not fit,
            or it is for other mels and `convert` is not set.
    """

    def __init__(
        self,
        mel: MelParameters,
        config_file: Union[str, Path],
        model_file: Union[str, Path],
        convert: bool = False,
        device: str = "cpu",
    ):
        require("vocos", NAME, "pip install vocos")
        config = read_yaml(Path(config_file))
        self.own_mel = _mel_of(config, config_file)
        self.mel = dict(mel)
        self.fs = self.own_mel["fs"]
        ours, theirs = completed(mel), completed(self.own_mel)
        self._converter = self._factors = None
        if ours == theirs:
            self._factors = _bin_factors(self.own_mel)
        elif convert:
            from espnet_fsqdiff.token2wav.external.convert import MelConverter

            self._converter = MelConverter(mel, self.own_mel, norm=None)
        else:
            raise InputError(
                f"{NAME}: the mels made are of {describe(mel)}; it is for mels of "
                f"{describe(self.own_mel)}; make those, or give convert: true, which "
                "loses some quality"
            )
        parts = {name: _part(config, name, config_file) for name in PARTS}
        self.model = torch.nn.ModuleDict(parts)
        states = read_states(model_file, "download it")
        # The features are the caller's.
        own = {k: v for k, v in states.items() if not k.startswith("feature_extractor")}
        try:
            self.model.load_state_dict(own)
        except RuntimeError as e:
            reason = " ".join(str(e).split())[:200]
            raise InputError(
                f"{NAME}: {model_file} does not fit {config_file}: {reason}"
            ) from None
        self.model.to(device).eval()
        self.device = device

    def features(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (F, n_mels), base 10, to what it was trained on (n, F')."""
        if self._converter is not None:
            linear = self._converter(mel)
        else:
            linear = np.power(10.0, mel.cpu().numpy()) * self._factors
        return torch.from_numpy(np.log(np.maximum(linear, FLOOR)).T).float()

    @torch.no_grad()
    def __call__(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (F, n_mels), base 10, to a wave (L,), float32, on the CPU."""
        features = self.features(mel).to(self.device)
        wave = self.model["head"](self.model["backbone"](features[None]))[0]
        return wave.float().cpu()

    def batch(self, mels: Sequence[torch.Tensor]) -> List[torch.Tensor]:
        """One after the other: its convolutions would hear the padding."""
        return [self(mel) for mel in mels]


def _part(config: Dict[str, Any], name: str, file: Union[str, Path]) -> torch.nn.Module:
    """Backbone or head of a configuration."""
    import importlib

    path, options = _named(config, name, file)
    if path not in PARTS[name]:
        raise InputError(
            f"{file}: {name} is {path}; known are {', '.join(PARTS[name])}"
        )
    module, _, kind = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), kind)(**options)
    except TypeError as e:
        raise InputError(f"{file}: {name}: {' '.join(str(e).split())}") from None


def _named(config: Dict[str, Any], name: str, file: Union[str, Path]) -> tuple:
    part = config.get(name)
    if not isinstance(part, dict) or "class_path" not in part:
        raise InputError(f"{file}: it has no {name}; give the config.yaml of a Vocos")
    return part["class_path"], dict(part.get("init_args") or {})


def _mel_of(config: Dict[str, Any], file: Union[str, Path]) -> MelParameters:
    """The mels that a configuration describes."""
    path, options = _named(config, "feature_extractor", file)
    if path != FEATURES:
        raise InputError(f"{file}: its features are {path}; give a Vocos of mels")
    m = {**DEFAULTS, **options}
    if m.pop("padding", "center") != "center":
        raise InputError(
            f"{file}: its frames are not centred (padding: same); those of mel makers "
            "are, give a Vocos with padding: center"
        )
    return dict(
        fs=m["sample_rate"],
        n_fft=m["n_fft"],
        n_shift=m["hop_length"],
        win_length=m["n_fft"],
        window="hann",
        n_mels=m["n_mels"],
        fmin=0,
        fmax=m["sample_rate"] / 2,
        htk=True,
    )


def _bin_factors(mel: MelParameters) -> np.ndarray:
    """What takes the normalisation of each bin (n_mels,) back."""
    from espnet_fsqdiff.token2wav.external.convert import filters

    plain, normed = filters(mel, None), filters(mel)
    return plain.sum(1) / np.maximum(normed.sum(1), 1e-30)
