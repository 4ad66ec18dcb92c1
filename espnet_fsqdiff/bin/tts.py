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
import os
import signal
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from espnet_fsqdiff.bin import tts_options
from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.bin.devices import check_device
from espnet_fsqdiff.bin.tts_options import SPEECH_OPTIONS, given
from espnet_fsqdiff.chain_options import CHAIN_OPTIONS, FILE_OPTIONS
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.progress import Progress


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return tts_options.get_parser(__doc__)


def main(cmd: Optional[List[str]] = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(
        format="fsqdiff-tts: %(message)s",
        level=logging.ERROR if args.quiet else logging.WARNING,
    )
    chain = given(args, CHAIN_OPTIONS)
    if args.list_models:
        _list_models()
    elif args.serve:
        tts_options.check_serve(args)
        from espnet_fsqdiff.serve import serve

        models = _short_names(_voice_names(args.model))
        serve(
            list(models),
            lambda name: load(
                models[name], args.device, args.backend, args.batch_size, chain
            ),
            host=args.host,
            port=args.port,
            max_chars=args.max_chars,
            max_waiting=args.max_waiting,
            quiet=args.quiet,
        )
    else:
        tts_options.check(args)
        model = _voice_names(args.model)[0]
        progress = Progress(args.quiet)
        tts = load(model, args.device, args.backend, args.batch_size, chain)
        progress.loaded(model)
        if args.output is not None:
            _speak_joined(tts, args, progress)
        else:
            _speak_folder(tts, model, args, progress)


def load(
    model: str,
    device: str,
    backend: str,
    batch_size: int,
    chain: Optional[Dict[str, Any]] = None,
) -> Any:
    """Load a voice.

    Args:
        model: See `--model`.
        device: See `--device`.
        backend: See `--backend`.
        batch_size: See `--batch_size`.
        chain: `CHAIN_OPTIONS` that were given.

    Raises:
        InputError: There is none of that name, it is damaged, there is no such device,
            or what it needs is not installed.
    """
    try:
        from espnet_fsqdiff.text2speech import Text2Speech
    except ModuleNotFoundError:
        from espnet_fsqdiff.espnet_check import require_espnet

        require_espnet()
        raise
    check_device(device)
    # What ESPnet prints when it is imported is nothing for users.
    with contextlib.redirect_stdout(None):
        return Text2Speech.from_pretrained(
            model,
            device=device,
            backend=backend,
            batch_size=batch_size,
            **(chain or {}),
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


def _speak_joined(tts: Any, args: argparse.Namespace, progress: Progress) -> None:
    from espnet_fsqdiff.joining import write_joined
    from espnet_fsqdiff.speech_files import read_blocks, writing

    blocks, total = iter([" ".join(args.text)]), None
    if args.text_file is not None:
        blocks, total = read_blocks(args.text_file), _size(args.text_file)
        if args.text_file != "-":
            # A bad character is found before the work, not after hours of it.
            tts.check_text(read_blocks(args.text_file), args.text_file)

    def counted() -> Iterator[str]:
        for block in blocks:
            yield block
            # Bytes, as the size of a file; known only now that it has been read.
            progress.advance(len(block.encode()))

    progress.start(total, "B", scale=True)
    with writing(args.output):
        parts = tts.stream(counted(), **given(args, SPEECH_OPTIONS))
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

    options = given(args, SPEECH_OPTIONS)
    folder = speech_files.SpeechFolder(
        args.output_dir,
        _settings(model, args.backend, {**options, **given(args, CHAIN_OPTIONS)}),
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
    for name in ("prompt_wav", *FILE_OPTIONS):
        if name in options:
            settings[name] = digest(options[name])
    for name in ("vocoder_conf", "token2mel_conf"):
        # Some of their options name files or directories.
        settings[name] = {
            option: (
                digest(value)
                if isinstance(value, str) and os.path.exists(value)
                else value
            )
            for option, value in options.get(name, {}).items()
        }
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
