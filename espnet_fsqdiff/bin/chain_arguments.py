"""Arguments of commands that make tokens audible; see `token2wav.load_chain`."""

import argparse
from pathlib import Path
from typing import Any, Dict, Sequence


def add_token2mel_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what makes mels of tokens, in place of the tokenizer's mel decoder."""
    from espnet2.utils.nested_dict_action import NestedDictAction

    group = parser.add_argument_group("Token to mel")
    group.add_argument("--token2mel_config", help="config.yaml of token2mel_train")
    group.add_argument("--token2mel_file", help="Its weights")
    group.add_argument(
        "--token2mel_conf",
        action=NestedDictAction,
        help="Its sampling: num_steps, solver, guidance_scale, ...",
    )


def add_speaker_argument(parser: argparse.ArgumentParser) -> None:
    """Add the voices of a token2mel of several speakers."""
    parser.add_argument(
        "--spk_embeds",
        help="xvector.scp or the like, a speaker embedding of every utterance, for a "
        "token2mel that was trained with them",
    )


def add_inference_config(parser: argparse.ArgumentParser) -> None:
    """Add a file that also has such options."""
    parser.add_argument(
        "--inference_config",
        type=Path,
        help="yaml, such as conf/decode.yaml, whose options from tokens to waves count "
        "where they are not given",
    )


def add_vocoder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what makes waves of mels."""
    from espnet2.utils.nested_dict_action import NestedDictAction

    group = parser.add_argument_group("Mel to wave")
    group.add_argument(
        "--vocoder",
        help="griffin_lim, trained, parallel_wavegan, vocos or cosyvoice2; by default "
        "trained if there is --vocoder_file, else griffin_lim",
    )
    group.add_argument(
        "--vocoder_conf", action=NestedDictAction, help="Its options: num_iters, ..."
    )
    group.add_argument("--vocoder_train_config", help="config.yaml of vocoder_train")
    group.add_argument("--vocoder_file", help="Its weights")


def given_options(args: argparse.Namespace, names: Sequence[str]) -> Dict[str, Any]:
    """The options of these names, those of `--inference_config` where not given.

    Raises:
        InputError: If there is no such file, or it is no yaml.
    """
    from espnet_fsqdiff.yaml_files import read_yaml

    config = {} if args.inference_config is None else read_yaml(args.inference_config)
    options = {name: getattr(args, name) for name in names}
    return {
        name: config.get(name) if value is None else value
        for name, value in options.items()
    }


def forget_others_options(args: argparse.Namespace) -> None:
    """Drop from `vocoder_conf` what `--config` has for another vocoder.

    ESPnet's action for such options adds to those of the configuration, also where
    the command names a vocoder of its own.

    Args:
        args: Parsed by ESPnet's `config_argparse`; changed in place.
    """
    from espnet_fsqdiff.yaml_files import read_yaml

    config = {} if args.config is None else read_yaml(Path(args.config))
    of_config = config.get("vocoder_conf")
    if not of_config or args.vocoder == config.get("vocoder"):
        return
    args.vocoder_conf = {
        name: value
        for name, value in args.vocoder_conf.items()
        if name not in of_config or value != of_config[name]
    }
