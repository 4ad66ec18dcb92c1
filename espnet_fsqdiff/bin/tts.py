"""Speak texts with a trained voice: to a file, to one file a line, or on a local page.

    fsqdiff-tts "Hello there." -o hello.wav
    fsqdiff-tts --text_file book.txt -o book.flac
    fsqdiff-tts --text_file lines.txt --output_dir waves --batch_size 16
    fsqdiff-tts --serve

Text of any length may go to one file. With --output_dir, line 17 becomes 000017.wav
and a line of speech.jsonl; what an earlier run made of the same text with the same
settings is kept, so a run that was killed goes on where it was. A line that cannot be
spoken is named and left out, and the exit status is 2.
"""

import argparse
import contextlib
import logging
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.progress import Progress

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


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
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
        "--speed", type=_number(float, 0.25, 4), help="2 is twice as fast"
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


def main(cmd: Optional[List[str]] = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(
        format="fsqdiff-tts: %(message)s",
        level=logging.ERROR if args.quiet else logging.WARNING,
    )
    if args.list_models:
        _list_models()
    elif args.serve:
        _check_serve(args)
        from espnet_fsqdiff.serve import serve

        models = _short_names(_voice_names(args.model))
        serve(
            list(models),
            lambda name: load(models[name], args.device, args.backend, args.batch_size),
            host=args.host,
            port=args.port,
            max_chars=args.max_chars,
            max_waiting=args.max_waiting,
            quiet=args.quiet,
        )
    else:
        _check(args)
        model = _voice_names(args.model)[0]
        progress = Progress(args.quiet)
        tts = load(model, args.device, args.backend, args.batch_size)
        progress.loaded(model)
        if args.output is not None:
            _speak_joined(tts, args, progress)
        else:
            _speak_folder(tts, model, args, progress)


def load(model: str, device: str, backend: str, batch_size: int) -> Any:
    """Load a voice.

    Raises:
        InputError: There is none of that name, it is damaged, there is no such device,
            or what it needs is not installed.
    """
    try:
        import torch

        from espnet_fsqdiff.text2speech import Text2Speech
    except ModuleNotFoundError:
        from espnet_fsqdiff.espnet_check import require_espnet

        require_espnet()
        raise
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise InputError(f"--device {device}: there is no such kind; give cpu or cuda")
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"--device {device}: torch sees {torch.cuda.device_count()} GPUs here; "
            "give another, or cpu"
        )
    # What ESPnet prints when it is imported is nothing for users.
    with contextlib.redirect_stdout(None):
        return Text2Speech.from_pretrained(
            model, device=device, backend=backend, batch_size=batch_size
        )


def _voice_names(model: Optional[str]) -> List[str]:
    """The voice asked for, if one is, then those in the box."""
    from espnet_fsqdiff.pretrained import voices

    names = [voice.name for voice in voices()]
    if model is not None:
        return [model, *(name for name in names if name != model)]
    if not names:
        raise InputError(
            "no voice is in the box; give one with --model, a packed zip such as stage "
            "14 of a recipe makes"
        )
    return names


def _short_names(models: List[str]) -> Dict[str, str]:
    """Names to show, in order: of a file or directory without what leads to it."""
    shown: Dict[str, str] = {}
    for model in models:
        short = Path(model).resolve().stem if Path(model).exists() else model
        shown[model if short in shown else short] = model
    return shown


def _list_models() -> None:
    from espnet_fsqdiff.pretrained import voices

    for voice in voices():
        lines = (line.strip("# \t") for line in voice.card.splitlines())
        title = next(filter(None, lines), "no model card")
        print(f"{voice.name}\t{voice.path}\t{title}")


def _check(args: argparse.Namespace) -> None:
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
    for option in ("text_file", "prompt_wav"):
        path = getattr(args, option)
        if path in (None, "-"):
            continue
        if not Path(path).is_file():
            raise InputError(f"--{option} {path}: no such file")
        if not os.access(path, os.R_OK):
            raise InputError(f"--{option} {path}: you may not read it")
    if args.prompt_text is not None and args.prompt_wav is None:
        raise InputError("--prompt_text needs --prompt_wav, the audio that it is of")


def _check_serve(args: argparse.Namespace) -> None:
    given = ("text", "text_file", "output", "output_dir", *SPEECH_OPTIONS)
    for option in given:
        if getattr(args, option) not in (None, []):
            raise InputError(f"{option} does not go with --serve; give it on the page")


def _options(args: argparse.Namespace) -> Dict[str, Any]:
    given = {name: getattr(args, name) for name in SPEECH_OPTIONS}
    return {name: value for name, value in given.items() if value is not None}


def _speak_joined(tts: Any, args: argparse.Namespace, progress: Progress) -> None:
    from espnet_fsqdiff.joining import write_joined
    from espnet_fsqdiff.speech_files import read_blocks, writing

    blocks, total = iter([" ".join(args.text)]), None
    if args.text_file is not None:
        blocks, total = read_blocks(args.text_file), _size(args.text_file)

    def counted() -> Iterator[str]:
        for block in blocks:
            yield block
            # Bytes, as the size of a file; known only now that it has been read.
            progress.advance(len(block.encode()))

    progress.start(total, "B", scale=True)
    with writing(args.output):
        parts = tts.stream(counted(), **_options(args))
        seconds = write_joined(
            args.output,
            parts,
            tts.fs,
            lambda _, start, end: progress.spoke(end - start),
        )
    progress.end(f"{args.output}: {seconds:.1f} s of speech", seconds)


def _speak_folder(
    tts: Any, model: str, args: argparse.Namespace, progress: Progress
) -> None:
    from espnet_fsqdiff import speech_files

    options = _options(args)
    folder = speech_files.SpeechFolder(
        args.output_dir, _settings(model, args.backend, options)
    )
    kept = made = faults = 0

    def missing() -> Iterator[speech_files.Line]:
        nonlocal kept
        lines = speech_files.number_lines(args.text)
        if args.text_file is not None:
            lines = speech_files.read_lines(args.text_file)
        for line in lines:
            if line in folder:
                kept += 1
                progress.advance()
            else:
                yield line

    total = len(args.text)
    if args.text_file is not None:
        total = _count_lines(args.text_file)
    progress.start(total, "line")
    seconds = 0.0
    for line, spoken in speech_files.speak_lines(
        tts, missing(), args.batch_size, options
    ):
        try:
            if isinstance(spoken, InputError):
                raise spoken
            folder.add(line, spoken)
        except InputError as e:
            faults += 1
            progress.error(str(e))
        else:
            made += 1
            length = len(spoken["wav"]) / tts.fs
            seconds += length
            progress.spoke(length)
        progress.advance()
    said = f", {kept} were there" if kept else ""
    progress.end(
        f"{args.output_dir}: {made} waves, {seconds:.1f} s of speech{said}", seconds
    )
    if faults:
        raise InputError(
            f"{faults} of {kept + made + faults} lines could not be spoken; correct "
            "them and run this again, the others are kept"
        )
    if not kept + made:
        raise InputError("there is nothing to say: the text is empty")


def _settings(model: str, backend: str, options: Dict[str, Any]) -> Dict[str, Any]:
    """All that decides how a text sounds, with digests in place of files."""
    import espnet_fsqdiff
    from espnet_fsqdiff.pretrained import voices
    from espnet_fsqdiff.speech_files import digest

    paths = {voice.name: voice.path for voice in voices()}
    path = Path(paths.get(model, model))
    settings = {**options, "backend": backend, "version": espnet_fsqdiff.__version__}
    settings["model"] = digest(path) if path.exists() else model
    if "prompt_wav" in options:
        settings["prompt_wav"] = digest(options["prompt_wav"])
    return settings


def _size(path: str) -> Optional[int]:
    return None if path == "-" else Path(path).stat().st_size


def _count_lines(path: str) -> Optional[int]:
    """Lines that are not empty; None for standard input."""
    if path == "-":
        return None
    with open(path, "rb") as f:
        return sum(1 for line in f if line.strip())


def _terminate(signum, frame) -> None:
    # An exception, so that what is half written is removed.
    sys.exit(128 + signum)


def entry() -> None:
    """Console script."""
    signal.signal(signal.SIGTERM, _terminate)
    cli(main)


if __name__ == "__main__":
    entry()
