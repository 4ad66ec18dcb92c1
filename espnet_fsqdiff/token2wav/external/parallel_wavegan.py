"""Vocoders of the ParallelWaveGAN project, through ESPnet's loader.

That loader reads `config.yml` with a yaml loader that can run code, and the checkpoint
by `torch.load`, which below torch 2.6 can too. So it is given copies: of the
configuration as plain yaml, and of the generator's tensors alone.
"""

import pickle
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav.external import require
from espnet_fsqdiff.token2wav.mel import MelParameters, check_same_mel
from espnet_fsqdiff.unpacking import write_yaml
from espnet_fsqdiff.yaml_files import read_yaml

NAME = "vocoder parallel_wavegan"


class ParallelWaveGAN:
    """A trained ParallelWaveGAN, MelGAN, HiFi-GAN, ... of `parallel_wavegan`.

    Args:
        mel: The mels that it will get.
        model_file: Its checkpoint, `checkpoint-400000steps.pkl`.
        config_file: Its configuration; `config.yml` beside the checkpoint by default.
        stats_file: Mean and scale of its mels, `stats.h5` or `stats.npy`; the one
            beside the checkpoint by default, none if there is none.
        trust_checkpoint: Whether to read a checkpoint that holds more than tensors
            and numbers, by which it can run any code: for files of your own alone.
        seed: Of the noise that some of the generators start from.
        device: Where it runs.

    Raises:
        InputError: If `parallel_wavegan` is not installed, a file is missing, holds
            more than it should or does not fit, or it is for other mels.
    """

    def __init__(
        self,
        mel: MelParameters,
        model_file: Union[str, Path],
        config_file: Optional[Union[str, Path]] = None,
        stats_file: Optional[Union[str, Path]] = None,
        trust_checkpoint: bool = False,
        seed: int = 0,
        device: str = "cpu",
    ):
        require("parallel_wavegan", NAME, "pip install parallel_wavegan")
        model_file = Path(model_file)
        config = read_yaml(Path(config_file or model_file.parent / "config.yml"))
        self.mel = _mel_of(config)
        self._base = config.get("log_base", 10.0)
        check_same_mel(mel, self.mel)
        if stats_file is None:
            found = [model_file.parent / f"stats.{x}" for x in ("h5", "npy")]
            stats_file = next((path for path in found if path.is_file()), None)
        states = _generator_states(model_file, trust_checkpoint)
        self.model = _load(config, states, stats_file, model_file).to(device).eval()
        self.fs = int(config["sampling_rate"])
        self.seed = seed
        self.device = device

    @torch.no_grad()
    def __call__(self, mel: torch.Tensor) -> torch.Tensor:
        """Log-mel (F, n_mels), base 10, to a wave (L,), float32, on the CPU."""
        if self._base != 10.0:
            mel = mel * torch.log(torch.tensor(10.0))
            if self._base == 2.0:
                mel = mel / torch.log(torch.tensor(2.0))
        # Their noise comes from torch's own generators.
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            wave = self.model(mel.float().to(self.device))
        return wave.float().cpu()

    def batch(self, mels: Sequence[torch.Tensor]) -> List[torch.Tensor]:
        """One after the other."""
        return [self(mel) for mel in mels]


def mend_scipy() -> None:
    """Let `parallel_wavegan` (0.6.1) find a window where SciPy had it up to 1.12."""
    from scipy import signal

    if not hasattr(signal, "kaiser"):
        signal.kaiser = signal.windows.kaiser


def _mel_of(config: Dict[str, Any]) -> MelParameters:
    """The mels that a configuration describes."""
    try:
        found = dict(
            fs=config["sampling_rate"],
            n_fft=config["fft_size"],
            n_shift=config["hop_size"],
            win_length=config["win_length"],
            window=config["window"],
            n_mels=config["num_mels"],
            fmin=config["fmin"],
            fmax=config["fmax"],
        )
    except KeyError as e:
        raise InputError(
            f"{NAME}: its configuration has no {e.args[0]}; give the config.yml of a "
            "vocoder of mels"
        ) from None
    if config.get("log_base", 10.0) not in (None, 2.0, 10.0):
        raise InputError(f"{NAME}: log_base {config['log_base']} is unknown")
    return found


def _generator_states(file: Path, trust: bool) -> Dict[str, torch.Tensor]:
    """The generator's tensors of a checkpoint."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=not trust)
    except FileNotFoundError:
        raise InputError(f"{NAME}: {file}: no such file") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{NAME}: {file} holds more than weights and could run code when it is "
            "read; if it is from a source you trust, give trust_checkpoint: true"
        ) from None
    except (EOFError, OSError, RuntimeError) as e:
        reason = " ".join(str(e).split())[:200]
        raise InputError(f"{NAME}: {file} cannot be read: {reason}") from None
    try:
        return dict(content["model"]["generator"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{NAME}: {file} is no checkpoint of parallel_wavegan (it has no "
            "model: generator)"
        ) from None


def _load(
    config: Dict[str, Any],
    states: Dict[str, torch.Tensor],
    stats_file: Optional[Union[str, Path]],
    model_file: Path,
) -> torch.nn.Module:
    """ESPnet's wrapper around the generator, from copies that hold data alone."""
    mend_scipy()
    from espnet2.tts.utils import ParallelWaveGANPretrainedVocoder

    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        config = dict(config)
        if stats_file is not None:
            suffix = Path(stats_file).suffix
            # By this the loader knows which to look for.
            config["format"] = "hdf5" if suffix == ".h5" else "npy"
            shutil.copyfile(stats_file, folder / f"stats{suffix}")
        config.setdefault("format", "npy")
        write_yaml(folder / "config.yml", config)
        torch.save({"model": {"generator": states}}, folder / "checkpoint.pkl")
        try:
            return ParallelWaveGANPretrainedVocoder(
                str(folder / "checkpoint.pkl"), str(folder / "config.yml")
            )
        except ImportError as e:
            raise InputError(
                f"{NAME}: parallel_wavegan cannot be imported here: {e}; mend its "
                "installation"
            ) from e
        except (AttributeError, KeyError, RuntimeError, TypeError) as e:
            reason = " ".join(str(e).split())[:200]
            raise InputError(
                f"{NAME}: {model_file} does not fit its configuration: {reason}"
            ) from None
