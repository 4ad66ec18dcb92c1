"""Write the networks of a voice as ONNX graphs, for `backend="onnx"`.

Give a packed voice (--model), or the files of the recipe.
"""

import argparse
import logging
from pathlib import Path
from typing import Dict, List, Optional

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.espnet_check import require_espnet

FILES = ("train_config", "model_file", "tokenizer_config", "tokenizer_file")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model",
        help="A packed voice: zip, directory of an unpacked one, name or tag",
    )
    parser.add_argument("--train_config", help="config.yaml of the diffusion decoder")
    parser.add_argument("--model_file", help="its weights")
    parser.add_argument("--tokenizer_config", help="config.yaml of the tokenizer")
    parser.add_argument("--tokenizer_file", help="its weights")
    parser.add_argument(
        "--outdir",
        type=Path,
        help="Where the graphs go; by default, of a packed voice, where "
        "Text2Speech.from_pretrained looks: `onnx` beside its unpacked files",
    )
    return parser


def source_files(args: argparse.Namespace) -> Dict[str, str]:
    """Files of the voice by role.

    Raises:
        InputError: If there is no such voice, or files are missing or one too many.
    """
    given = {role: getattr(args, role) for role in FILES if getattr(args, role)}
    if args.model is not None:
        if given:
            raise InputError(f"--model and --{min(given)}: give one or the other")
        from espnet_fsqdiff.pretrained import find_files

        found = find_files(args.model)
        return {role: found[role] for role in FILES}
    for role in FILES:
        if role not in given:
            raise InputError(f"--{role} is not given; give --model, or all files")
    if args.outdir is None:
        raise InputError("--outdir is not given; with the recipe's files it has to be")
    return given


def main(cmd: Optional[List[str]] = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    require_espnet()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    files = source_files(args)
    from espnet_fsqdiff.onnx.exporting import export
    from espnet_fsqdiff.onnx.runtime import digests
    from espnet_fsqdiff.pretrained import default_onnx_dir
    from espnet_fsqdiff.synthesis import WITHOUT_DURATIONS
    from espnet_fsqdiff.tasks.cdcd import ESPnetCDCDModel
    from espnet_fsqdiff.tasks.common import load_model
    from espnet_fsqdiff.tasks.decoders import decoder_task
    from espnet_fsqdiff.tokenizer import SpeechTokenizer

    task = decoder_task(files["train_config"])
    model, options = load_model(task, files["train_config"], files["model_file"])
    if not isinstance(model, ESPnetCDCDModel):
        raise InputError(
            f"{files['train_config']} is of a language model; only diffusion decoders "
            "are exported"
        )
    tokenizer = SpeechTokenizer.from_pretrained(
        files["tokenizer_config"], files["tokenizer_file"]
    )
    if tokenizer.num_codes != model.codebook.num_codes:
        raise InputError(
            f"the tokenizer has {tokenizer.num_codes} codes, the model "
            f"{model.codebook.num_codes}; give the tokenizer it was trained with"
        )
    manifest = export(
        model.ema.network,
        tokenizer.model,
        options.text_expansion not in WITHOUT_DURATIONS,
        args.outdir or default_onnx_dir(files),
        digests(model_file=files["model_file"], tokenizer_file=files["tokenizer_file"]),
    )
    logging.info(f"{manifest}: done")


if __name__ == "__main__":
    cli(main)
