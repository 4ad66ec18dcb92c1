"""The released CDCD-TTS checkpoint (arXiv 2606.09962): its sizes, keys and tables."""

import json
import re
from pathlib import Path
from typing import Any, Dict, List, Union

import torch

from espnet_fsqdiff.errors import InputError

SIZES = (
    "dim",
    "depth",
    "heads",
    "dim_head",
    "text_dim",
    "diffusion_context",
    "conv_layers",
    "fsq_dim",
    "fsq_base",
    "vocab_size",
)
# Their name to ours, in this order.
RENAMED = (
    (r"^text_embed\.text_", "text_encoder.text_"),
    (r"^time_embed\.", "backbone.time_embed."),
    (r"^input_embed\.", "backbone."),
    (r"^transformer_blocks\.", "backbone.blocks."),
    (r"\.pre_attn_norm\.linear\.", ".modulation."),
    (r"\.ff\.ff\.", ".ff."),
    (r"^norm_out\.linear\.", "backbone.modulation_out."),
    (r"^softmax_layer\.", "head.linear."),
)
# Computed, not learnt.
TABLES = re.compile(r"^rotary_embed\.inv_freq$")

SYMBOLS = [*"abcdefghijklmnopqrstuvwxyz", *".,?!:;'", "<space>"]
# Mean tokens of every symbol at 25 Hz, the authors' table.
FRAMES = [
    *(2.1, 1.7, 1.4, 1.5, 1.3, 1.6, 1.1, 0.5, 1.9, 2.7, 1.1, 2.2, 1.8),
    *(1.8, 1.6, 1.4, 1.3, 1.8, 2.7, 1.0, 1.2, 1.8, 1.2, 3.1, 2.2, 4.6),
    *(10.6, 4.7, 13.7, 15.3, 13.9, 8.2, 0.1, 1.6),
]


def read_sizes(path: Union[str, Path]) -> Dict[str, int]:
    """Read the sizes of a released network from a json file.

    Raises:
        InputError: If a size is missing, unknown or no positive integer, or the
            sizes contradict each other.
    """
    try:
        sizes = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; give --config sizes.json") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as e:
        raise InputError(f"{path} is not json: {e}") from None
    if not isinstance(sizes, dict):
        raise InputError(f"{path} holds no sizes; give an object of {', '.join(SIZES)}")
    for name in (*SIZES, *sizes):
        value = sizes.get(name)
        if name not in SIZES:
            raise InputError(f"{path}: {name} is unknown; it takes {', '.join(SIZES)}")
        if type(value) is not int or value < 1:
            raise InputError(f"{path}: {name} is {value}; give a positive integer")
    if sizes["heads"] * sizes["dim_head"] != sizes["dim"]:
        raise InputError(
            f"{path}: {sizes['heads']} heads of {sizes['dim_head']} are not dim "
            f"{sizes['dim']}; correct them"
        )
    return sizes


def training_options(
    sizes: Dict[str, int], see_padding: bool = False
) -> Dict[str, Any]:
    """Options of `CDCDTask` that describe a released network.

    Args:
        sizes: As `read_sizes` gives them.
        see_padding: Whether shorter utterances of a batch see its padding, as
            they do in the released code. Without, each gets what the released
            code computes for it alone.

    Raises:
        InputError: If it has not the 34 symbols of the released text table.
    """
    if sizes["vocab_size"] != len(SYMBOLS):
        raise InputError(
            f"vocab_size is {sizes['vocab_size']}; the released text table has "
            f"{len(SYMBOLS)} symbols"
        )
    return dict(
        token_type="char",
        token_list=list(SYMBOLS),
        cleaner="lower",
        edge_symbol=None,
        codebook="fsq",
        codebook_conf=dict(levels=[sizes["fsq_base"]] * sizes["fsq_dim"]),
        text_expansion="filler",
        text_encoder="convnext",
        text_encoder_conf=dict(
            dim=sizes["text_dim"],
            num_layers=sizes["conv_layers"],
            mask_grn=not see_padding,
        ),
        backbone="dit",
        backbone_conf=dict(
            dim=sizes["dim"],
            depth=sizes["depth"],
            num_heads=sizes["heads"],
            max_frames=sizes["diffusion_context"],
            mask_conv=not see_padding,
        ),
        head="joint",
        schedule="linear",
        loss="cdcd",
    )


def network_states(
    checkpoint: Dict[str, torch.Tensor], prefix: str
) -> Dict[str, torch.Tensor]:
    """Weights of one copy of the network under our names.

    Args:
        checkpoint: The released state dict.
        prefix: `backbone` or `backbone_ema`.

    Raises:
        InputError: If the checkpoint has no such copy.
    """
    states = {}
    for key, value in checkpoint.items():
        if not key.startswith(f"{prefix}."):
            continue
        key = key[len(prefix) + 1 :]
        if TABLES.match(key):
            continue
        for theirs, ours in RENAMED:
            key = re.sub(theirs, ours, key)
        states[key] = value
    if not states:
        raise InputError(
            f"the checkpoint has no keys {prefix}.*; it is no released CDCD-TTS "
            "checkpoint"
        )
    return states


def stray_keys(checkpoint: Dict[str, torch.Tensor]) -> List[str]:
    """Keys that belong to neither copy of the network."""
    return [k for k in checkpoint if not k.startswith(("backbone.", "backbone_ema."))]
