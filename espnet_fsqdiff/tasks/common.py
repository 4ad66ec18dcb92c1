"""What the package's ESPnet tasks share: text options, model files, preprocessing."""

import argparse
import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import numpy as np
import torch
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.utils.types import str2bool, str_or_none

from espnet_fsqdiff.data.audio import check_wave
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.states import check_weights, completed, read_states
from espnet_fsqdiff.tasks.building import model_of
from espnet_fsqdiff.text.tokenizer import (
    TextTokenizer,
    check_token_list,
    read_token_list,
)
from espnet_fsqdiff.text_to_token import TextToToken
from espnet_fsqdiff.yaml_files import read_yaml

States = Dict[str, torch.Tensor]

# What a model may have that its checkpoint has not, such as the part of a vocoder's
# that only trains it.
MORE_WEIGHTS = 1_000_000


class FollowedModel(AbsESPnetModel):
    """A model with a moving average that is what validation and inference use.

    Attributes:
        network: What is trained.
        ema: Its moving average.
    """

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(self.ema.parameters()).device

    def update_ema(self) -> None:
        """Follow the weights; after every step of the optimizer."""
        self.ema.update(self.network)


class AveragedModel(TextToToken, FollowedModel):
    """What makes tokens from text, with a moving average that speaks."""

    def collect_feats(self, **batch: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Nothing: tokens need no statistics, only their shapes are collected."""
        return {}


class FollowedBuilder:
    """What the tasks of such models share: collating, and keeping the average."""

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        from espnet2.train.collate_fn import CommonCollateFn

        return CommonCollateFn(float_pad_value=0.0, int_pad_value=0)

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: FollowedModel
    ) -> List[torch.optim.Optimizer]:
        optimizers = super().build_optimizers(args, model)
        if args.use_deepspeed:
            return optimizers  # they see shards of the weights; the trainer updates it
        for optimizer in optimizers:
            optimizer.register_step_post_hook(lambda *_: model.update_ema())
        return optimizers


def add_text_arguments(group: argparse._ArgumentGroup) -> None:
    """Options that say how text becomes symbols, named as ESPnet names them."""
    group.add_argument("--use_preprocessor", type=str2bool, default=True)
    group.add_argument(
        "--token_type", default="char", choices=["char", "bpe", "phn"], help="Symbols"
    )
    group.add_argument(
        "--token_list", type=str_or_none, help="File with one text symbol a line"
    )
    group.add_argument("--bpemodel", type=str_or_none, help="sentencepiece model")
    group.add_argument("--cleaner", type=str_or_none, help="Text cleaner")
    group.add_argument("--g2p", type=str_or_none, help="Grapheme to phoneme")
    group.add_argument(
        "--edge_symbol",
        type=str_or_none,
        default="<sos/eos>",
        help="Symbol put before and after every text; null for none",
    )


def token_list_of(args: argparse.Namespace) -> List[str]:
    """The symbols, from the file that `--token_list` names or given themselves."""
    if not args.token_list:
        raise InputError("no --token_list is given; make one in the token list stage")
    if isinstance(args.token_list, str):
        return read_token_list(args.token_list)
    return check_token_list(args.token_list)


def build_text_tokenizer(args: argparse.Namespace) -> TextTokenizer:
    """The text tokenizer that a task's options describe."""
    return TextTokenizer(
        token_type=args.token_type,
        token_list=token_list_of(args),
        cleaner=args.cleaner,
        g2p=args.g2p,
        bpemodel=args.bpemodel,
        edge_symbol=args.edge_symbol,
    )


class Preprocessor:
    """Text to symbol ids; anything else is handed on, checked.

    Args:
        text_tokenizer: Turns text into symbol ids; None where there is no text.
    """

    def __init__(self, text_tokenizer: Optional[TextTokenizer] = None):
        self.text_tokenizer = text_tokenizer

    def __call__(
        self, uid: str, data: Dict[str, Union[str, np.ndarray]]
    ) -> Dict[str, np.ndarray]:
        """One utterance from ESPnet's dataset, by name of its entries.

        Raises:
            InputError: If its text has unknown symbols or none, or its speech is
                not mono or not finite.
        """
        data = dict(data)
        if isinstance(data.get("text"), str):
            data["text"] = self.text_tokenizer.encode(data["text"], utt_id=uid)
        if "speech" in data:
            check_speech(uid, data["speech"])
        return data


def check_speech(uid: str, speech: np.ndarray) -> None:
    """Refuse audio that is not mono (L,), empty, silent or not finite."""
    if speech.ndim != 1:
        raise InputError(
            f"{uid}: its audio has {speech.shape[1]} channels; "
            "run the format stage to mix them"
        )
    check_wave(speech, uid, "its audio")


def checked_tokens(uid: str, tokens: np.ndarray, num_codes: int) -> np.ndarray:
    """Speech tokens (T,) of any type as int64.

    Raises:
        InputError: If there are none or one is outside the codebook.
    """
    tokens = tokens.astype(np.int64)
    if tokens.size == 0 or tokens.min() < 0 or tokens.max() >= num_codes:
        raise InputError(
            f"{uid}: its speech tokens are none or outside the codebook "
            f"0..{num_codes - 1}; extract them again with this tokenizer"
        )
    return tokens


def load_model(
    task: Any,
    config_file: Union[str, Path],
    model_file: Union[str, Path],
    device: str = "cpu",
    select: Callable[[States], States] = lambda states: states,
) -> Tuple[torch.nn.Module, argparse.Namespace]:
    """Build a trained model, refusing a file whose keys or shapes do not fit.

    ESPnet's own `build_model_from_file` loads with strict=False, under which a
    checkpoint with every key wrong loads without a word.

    Args:
        task: Task or builder, for its `build_model`.
        config_file: The configuration it was trained with.
        model_file: Its weights.
        device: Where to put it.
        select: What of the weights the model consists of, by its own names.

    Returns:
        The model in eval mode on `device`, and its training configuration.

    Raises:
        InputError: If a file is missing or does not fit.
    """
    config = read_config(config_file)
    args = Options(config_file, config)
    states = read_states(model_file, "train the model")
    check_weights(states, model_file)
    # Half of a model may be left out of its file, see `states.for_inference`.
    max_weights = 2 * sum(weight.numel() for weight in states.values()) + MORE_WEIGHTS
    with model_of(config_file, max_weights):
        model = task.build_model(args)
    expected = model.state_dict()
    states = completed(select(states), expected)
    check_keys(states, expected, model_file)
    model.load_state_dict(states)
    return model.to(device).eval(), args


class Options(argparse.Namespace):
    """Options of a configuration file, which may lack some.

    Args:
        where: The file, for messages.
        config: Its options.
    """

    def __init__(self, where: Union[str, Path], config: Dict[str, Any]):
        super().__init__(**config)
        self._where = where

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise InputError(
            f"{self._where} has no {name}; it was written by another version: use that "
            "one, or train the model again"
        )


def read_config(config_file: Union[str, Path]) -> Dict[str, Any]:
    """A training configuration as ESPnet saved it.

    Raises:
        InputError: If it is missing, or none.
    """
    if not os.path.exists(config_file):
        raise InputError(f"{config_file} is missing; train the model first")
    return read_yaml(config_file)


def check_keys(
    states: Dict[str, torch.Tensor],
    expected: Dict[str, torch.Tensor],
    name: Union[str, Path],
) -> None:
    """Refuse a state dict with missing, unknown or misshapen entries.

    Raises:
        InputError: Naming up to three of each.
    """
    faults = {
        "missing": [k for k in expected if k not in states],
        "unknown": [k for k in states if k not in expected],
        "misshapen": [
            f"{k} {tuple(states[k].shape)} for {tuple(expected[k].shape)}"
            for k in expected
            if k in states and states[k].shape != expected[k].shape
        ],
    }
    found = [
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for kind, keys in faults.items()
        if keys
    ]
    if found:
        raise InputError(
            f"{name} does not fit its configuration: {'; '.join(found)}; "
            "give the config.yaml that it was trained with"
        )
