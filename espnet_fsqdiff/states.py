"""Weights in files: read trusting nothing in them, and cut to what inference needs."""

import mmap
import zipfile
from pathlib import Path
from typing import Dict, Iterable, Tuple, Union

import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.option_types import shown

# Of weights.
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_BYTEARRAY = b"bytearray"


def check_sums(path: Union[str, Path]) -> None:
    """Compare what torch saved with the check sums in the file; torch itself does not.

    Args:
        path: The file; one of the old format has no sums and is not looked at.

    Raises:
        RuntimeError: As torch raises for a file that is cut off, if bytes have changed.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as f:
            entry = f.testzip()
    except Exception as e:  # of many kinds, where the names of entries have changed
        raise RuntimeError(str(e)) from None
    if entry is not None:
        raise RuntimeError(f"the check sum of {entry} is wrong")


def weights_beside(config_file: Union[str, Path]) -> Path:
    """The averaged weights of a training: the one `valid.*.ave.pth` of its directory.

    Args:
        config_file: Its config.yaml.

    Raises:
        InputError: It or its weights are missing, or there are several of these.
    """
    if not Path(config_file).is_file():
        raise InputError(f"{config_file} is missing; train the model first")
    folder = Path(config_file).parent
    found = sorted(folder.glob("valid.*.ave.pth"))
    if len(found) != 1:
        what = "train the model first"
        if found:
            what = f"there are several ({', '.join(path.name for path in found)})"
        raise InputError(f"{folder}/valid.*.ave.pth: {what}, or name a file of weights")
    return found[0]


def read_states(model_file: Union[str, Path], make: str) -> Dict[str, torch.Tensor]:
    """A state dict on the CPU.

    Args:
        model_file: Where it is.
        make: How to get it, for messages: `train the model`, `download it`.

    Raises:
        InputError: If the file is missing, broken, or holds more than tensors.
    """
    try:
        _check_stored(model_file)
        check_sums(model_file)
        states = torch.load(model_file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{model_file} is missing; {make} first") from None
    # Odd bytes lead torch to errors of many kinds.
    except Exception:
        raise InputError(
            f"{model_file} cannot be read: it is cut off, damaged or holds more than "
            f"tensors; copy it, or remove it and {make} again"
        ) from None
    if not isinstance(states, dict):
        raise InputError(f"{model_file} holds no state dict")
    return states


def _check_stored(model_file: Union[str, Path]) -> None:
    """Refuse a checkpoint that grows when it is read.

    torch.save compresses nothing; and torch would make a bytearray of any size, of
    which no state dict has need.
    """
    if zipfile.is_zipfile(model_file):
        with zipfile.ZipFile(model_file) as z:
            if any(info.compress_type != zipfile.ZIP_STORED for info in z.infolist()):
                raise ValueError("it is compressed")
            pickles = [z.read(n) for n in z.namelist() if n.endswith("data.pkl")]
            if any(_BYTEARRAY in content for content in pickles):
                raise ValueError("it holds more than tensors")
    else:
        with open(model_file, "rb") as f:
            with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if content.find(_BYTEARRAY) >= 0:
                    raise ValueError("it holds more than tensors")


def check_weights(states: Dict[str, torch.Tensor], where: Union[str, Path]) -> None:
    """Refuse what is no state dict of finite weights, each stored whole.

    Raises:
        InputError: Naming the first entry that is none.
    """
    for key, value in states.items():
        fault = _fault_of(key, value)
        if fault:
            raise InputError(
                f"{where}: {shown(key)} {fault}; give the weights of a trained model"
            )


def _fault_of(key: object, value: object) -> str:
    """What is wrong with an entry of a state dict; "" if nothing."""
    if not isinstance(key, str) or not isinstance(value, torch.Tensor):
        return "is no weight"
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        return "is no plain tensor"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return "is not stored whole"
    if value.is_floating_point() and value.dtype not in FLOATS or value.is_complex():
        return f"is of type {value.dtype}"
    if value.is_floating_point() and not torch.isfinite(value).all():
        return "is not finite"
    return ""


# What training steps, and its moving average, which is all that speaks.
TRAINED, AVERAGED = "network.", "ema.network."
# What only stands by while a vocoder is trained.
BESIDE = ("discriminator.", "criterion.", "feats_extract.")
# Smaller tensors (biases, statistics, counters) keep their precision: they cost
# little, and a counter of steps is more than a half can hold.
LEAST_HALVED = 1000


def for_inference(
    states: Dict[str, torch.Tensor], precision: str = "float32"
) -> Dict[str, torch.Tensor]:
    """Leave out what only training needs, see `completed`.

    Args:
        states: A checkpoint of any of our tasks.
        precision: `float16` halves all floating tensors of `LEAST_HALVED` elements
            and more.

    Returns:
        The rest; without a moving average everything.

    Raises:
        InputError: If a weight is too large for the precision.
    """
    left_out: Tuple[str, ...] = ()
    if any(key.startswith(AVERAGED) for key in states):
        left_out = (TRAINED,)
        # Other models with a mel of their own are built with it.
        if any(key.startswith(BESIDE[0]) for key in states):
            left_out = (TRAINED, *BESIDE)
    kept = {}
    for key, value in states.items():
        if key.startswith(left_out):
            continue
        large = value.is_floating_point() and value.numel() >= LEAST_HALVED
        if precision == "float16" and large:
            value = value.to(torch.float16)
            if not torch.isfinite(value).all():
                raise InputError(
                    f"{key} has weights that float16 cannot hold; pack in float32"
                )
        kept[key] = value.clone()  # and no more of its storage
    return kept


def completed(
    states: Dict[str, torch.Tensor], expected: Iterable[str]
) -> Dict[str, torch.Tensor]:
    """Put the moving average for the trained weights that `for_inference` left out."""
    if any(key.startswith(TRAINED) for key in states):
        return states
    own = {
        key: states[f"ema.{key}"]
        for key in expected
        if key.startswith(TRAINED) and f"ema.{key}" in states
    }
    return {**states, **own}


def averaged_states(states: Dict[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
    """The moving average alone, by the names of its network.

    Args:
        states: A checkpoint of a vocoder, whole or cut by `for_inference`.

    Returns:
        The averaged weights; and, by their full names, any that a vocoder does not
        have, for the check that follows.
    """
    trained = (TRAINED, *BESIDE, "ema.num_updates")
    return {
        key.removeprefix(AVERAGED): value
        for key, value in states.items()
        if not key.startswith(trained)
    }
