"""Options of fsqdiff-tts: what there are, and which go together."""

import argparse
import math
import os
from pathlib import Path
from typing import Any, Callable, Dict, Sequence

from espnet_fsqdiff.chain_options import FILE_OPTIONS
from espnet_fsqdiff.errors import InputError

# Options of Text2Speech's calls, as they are named there and here.
SPEECH_OPTIONS = (
    "speed",
    "num_steps",
    "guidance_scale",
    "temperature",
    "num_takes",
    "seed",
    "prompt_wav",
    "prompt_text",
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str):
        raise InputError(f"{message}; see --help")


def _number(kind: Callable, least: float, most: float = math.inf) -> Callable:
    """The type of an argument: a number within a range, ends included."""

    def convert(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            span = (
                f"at least {least:g}" if most == math.inf else f"{least:g} to {most:g}"
            )
            name = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} is no {name} of {span}")
        return value

    return convert


def _mapping(text: str) -> Dict[str, Any]:
    """The type of an argument: options by name, in yaml."""
    from espnet_fsqdiff.errors import InputError
    from espnet_fsqdiff.yaml_files import load_yaml

    try:
        value = load_yaml(text, "option")
    except InputError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no yaml of options, such as '{{num_iters: 32}}'"
        )
    return value


def get_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        description: What the command does.
    """
    parser = _Parser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "text", nargs="*", help="what to say; - reads it from standard input"
    )
    parser.add_argument("--text_file", help="UTF-8 text to say; - is standard input")
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", type=Path, help="one file of the whole text: .wav, .flac, ..."
    )
    group.add_argument(
        "--output_dir", type=Path, help="one .wav for each line, or each text given"
    )
    group.add_argument("--quiet", action="store_true", help="say nothing but errors")
    group = parser.add_argument_group("voice")
    group.add_argument(
        "--model",
        help="packed zip, its unpacked directory, hub tag or name of a voice in the "
        "box (default: the first of --list_models)",
    )
    group.add_argument(
        "--list_models", action="store_true", help="print the voices in the box"
    )
    group.add_argument("--prompt_wav", help="audio of a speaker to speak like")
    group.add_argument("--prompt_text", help="what is said in --prompt_wav")
    group = parser.add_argument_group(
        "speech", "what is not given is as the voice was packed"
    )
    group.add_argument(
        "--speed",
        type=_number(float, 0.25, 4),
        help="2 is twice as fast, as far as 40 ms for each symbol allow it",
    )
    group.add_argument(
        "--num_steps", type=_number(int, 1, 1000), help="steps of the diffusion"
    )
    group.add_argument(
        "--guidance_scale", type=_number(float, 0, 100), help="weight of the text"
    )
    group.add_argument(
        "--temperature", type=_number(float, 0, 100), help="divides the logits"
    )
    group.add_argument(
        "--num_takes", type=_number(int, 1, 64), help="draw so many, keep the best"
    )
    group.add_argument(
        "--seed", type=_number(int, 0, 2**31 - 1), help="of what is random"
    )
    group = parser.add_argument_group(
        "token to wave", "what is not given is as the voice was packed"
    )
    group.add_argument(
        "--vocoder", help="griffin_lim, trained, parallel_wavegan, vocos or cosyvoice2"
    )
    group.add_argument(
        "--vocoder_conf", type=_mapping, help="its options: '{num_iters: 64}'"
    )
    group.add_argument("--vocoder_train_config", help="config.yaml of vocoder_train")
    group.add_argument("--vocoder_file", help="its weights")
    group.add_argument("--token2mel_config", help="config.yaml of token2mel_train")
    group.add_argument("--token2mel_file", help="its weights")
    group.add_argument(
        "--token2mel_conf", type=_mapping, help="its sampling: '{num_steps: 10}'"
    )
    group = parser.add_argument_group("machine")
    group.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    group.add_argument("--backend", default="torch", choices=["torch", "onnx"])
    group.add_argument(
        "--batch_size",
        type=_number(int, 1, 1024),
        default=8,
        help="sentences or lines spoken at once (default: 8)",
    )
    group = parser.add_argument_group("local page")
    group.add_argument(
        "--serve", action="store_true", help="speak on a web page until Ctrl-C"
    )
    group.add_argument("--host", default="127.0.0.1", help="(default: 127.0.0.1)")
    group.add_argument(
        "--port", type=_number(int, 0, 65535), default=7860, help="(default: 7860)"
    )
    group.add_argument(
        "--max_chars",
        type=_number(int, 1, 100_000),
        default=2000,
        help="longest text of a request (default: 2000)",
    )
    group.add_argument(
        "--max_waiting",
        type=_number(int, 1, 1000),
        default=8,
        help="requests under way or waiting; more are refused (default: 8)",
    )
    return parser


def check(args: argparse.Namespace) -> None:
    """Find what is wrong before the voice is loaded."""
    if args.text and args.text_file is not None:
        raise InputError("give the text or --text_file, not both")
    if not args.text and args.text_file is None:
        raise InputError(
            'no text: give it ("Hello there."), or --text_file FILE, or - for standard '
            "input"
        )
    if (args.output is None) == (args.output_dir is None):
        raise InputError("say where the speech goes: -o FILE.wav or --output_dir DIR")
    if args.output is not None and args.output.is_dir():
        raise InputError(f"-o {args.output}: it is a directory; name a file in it")
    if args.text == ["-"]:
        args.text, args.text_file = [], "-"
    texts = {f"text {i}": text for i, text in enumerate(args.text, 1)}
    texts["--prompt_text"] = args.prompt_text or ""
    for name, text in texts.items():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError(f"{name}: {text!r} is not UTF-8; type it in UTF-8")
    for option in ("text_file", "prompt_wav", *FILE_OPTIONS):
        path = getattr(args, option)
        if path in (None, "-"):
            continue
        if not Path(path).is_file():
            raise InputError(f"--{option} {path}: no such file")
        if not os.access(path, os.R_OK):
            raise InputError(f"--{option} {path}: you may not read it")
    if args.prompt_text is not None and args.prompt_wav is None:
        raise InputError("--prompt_text needs --prompt_wav, the audio that it is of")


def check_serve(args: argparse.Namespace) -> None:
    """Find what does not go with the local page."""
    spoken = ("text", "text_file", "output", "output_dir", *SPEECH_OPTIONS)
    for option in spoken:
        if getattr(args, option) not in (None, []):
            raise InputError(f"{option} does not go with --serve; give it on the page")


def given(args: argparse.Namespace, names: Sequence[str]) -> Dict[str, Any]:
    """Those of the options that were given."""
    values = {name: getattr(args, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
