"""Convert a released CDCD-TTS checkpoint into a model of this package.

Writes config.yaml, model.pth, duration.yaml (the authors' table) and tokens.txt.
"""

import argparse
from pathlib import Path
from typing import List, Optional

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.espnet_check import require_espnet


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, help="The released cdcd.pt")
    parser.add_argument(
        "--config",
        required=True,
        help="json file with the sizes: dim, depth, heads, dim_head, text_dim, "
        "diffusion_context, conv_layers, fsq_dim, fsq_base, vocab_size",
    )
    parser.add_argument("--outdir", required=True)
    parser.add_argument(
        "--weights",
        choices=["ema", "plain"],
        default="ema",
        help="Which copy inference uses (default: the moving average)",
    )
    parser.add_argument(
        "--see_padding",
        action="store_true",
        help="Let shorter utterances of a batch see its padding, as the released "
        "code does; without, each is computed as if it were alone",
    )
    return parser


def convert(
    checkpoint_file: str,
    sizes_file: str,
    outdir: str,
    weights: str = "ema",
    see_padding: bool = False,
) -> Path:
    """Write the model; return its directory.

    Raises:
        InputError: If a file is missing or broken, or a key is missing, unknown
            or misshapen.
    """
    require_espnet()
    import numpy as np
    import torch
    import yaml

    from espnet_fsqdiff.duration import DurationTable
    from espnet_fsqdiff.errors import InputError
    from espnet_fsqdiff.files import atomic_path
    from espnet_fsqdiff.released import (
        FRAMES,
        SYMBOLS,
        network_states,
        read_sizes,
        stray_keys,
        training_options,
    )
    from espnet_fsqdiff.states import read_states
    from espnet_fsqdiff.tasks.cdcd import CDCDTask
    from espnet_fsqdiff.tasks.common import check_keys
    from espnet_fsqdiff.text.tokenizer import write_token_list

    sizes = read_sizes(sizes_file)
    checkpoint = read_states(checkpoint_file, "download it")
    stray = stray_keys(checkpoint)
    if stray:
        raise InputError(
            f"{checkpoint_file} has {len(stray)} unknown keys "
            f"({', '.join(map(str, stray[:3]))}); give the flat state dict of the "
            "diffusion module"
        )

    config = {**CDCDTask.get_default_config(), **training_options(sizes, see_padding)}
    model = CDCDTask.build_model(argparse.Namespace(**config))
    average = "backbone_ema" if weights == "ema" else "backbone"
    for network, prefix in ((model.network, "backbone"), (model.ema.network, average)):
        states = network_states(checkpoint, prefix)
        check_keys(states, network.state_dict(), f"{checkpoint_file} ({prefix}.*)")
        network.load_state_dict(states)

    out = Path(outdir)
    out.mkdir(parents=True, exist_ok=True)
    write_token_list(out / "tokens.txt", SYMBOLS)
    DurationTable(SYMBOLS, np.array(FRAMES)).save(out / "duration.yaml")
    with atomic_path(out / "model.pth") as aside:
        torch.save(model.state_dict(), aside)
    with atomic_path(out / "config.yaml") as aside:
        aside.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return out


def main(cmd: Optional[List[str]] = None) -> None:
    """Convert and say where the model is."""
    args = get_parser().parse_args(cmd)
    out = convert(
        args.checkpoint, args.config, args.outdir, args.weights, args.see_padding
    )
    print(f"{out}: config.yaml, model.pth, duration.yaml, tokens.txt")


def entry() -> None:
    """Console script."""
    cli(main)


if __name__ == "__main__":
    entry()
