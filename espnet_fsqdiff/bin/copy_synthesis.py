"""Copies of recordings through a vocoder: wave to mel to wave.

The ceiling that mel and vocoder set for speech from tokens. Writes `wav/`, `wav.scp`
and `stats.json`, as bin/score_sound reads them; of the vocoder alone: `rtf` (seconds
for a second of speech), `rtf_cpu` (processor seconds of all threads instead, which
other work on the machine moves less), parameters, bytes, threads. A run that was
stopped goes on; of a recording that has changed there is a new copy.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import stamp

MEL_OPTIONS = ("fs", "n_fft", "n_shift", "win_length", "n_mels", "fmin", "fmax")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wav_scp", required=True, help="Recordings, at any rate")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument(
        "--num_utts", type=int, help="The first ones alone [default: all]"
    )
    parser.add_argument("--num_threads", type=int, default=1, help="[default: 1]")
    group = parser.add_argument_group(
        "Trained vocoder",
        "with mels of its own; without it, Griffin-Lim on the mel below",
    )
    group.add_argument("--vocoder_train_config", help="config.yaml of vocoder_train")
    group.add_argument("--vocoder_file", help="its weights")
    group = parser.add_argument_group("Mel of Griffin-Lim")
    group.add_argument("--fs", type=int, default=24000, help="Hz [default: 24000]")
    group.add_argument("--n_fft", type=int, default=1920, help="[default: 1920]")
    group.add_argument("--n_shift", type=int, default=480, help="hop [default: 480]")
    group.add_argument("--win_length", type=int, help="[default: n_fft]")
    group.add_argument("--n_mels", type=int, default=80, help="[default: 80]")
    group.add_argument("--fmin", type=int, default=0, help="Hz [default: 0]")
    group.add_argument("--fmax", type=int, help="Hz [default: fs / 2]")
    group.add_argument("--num_iters", type=int, default=32, help="[default: 32]")
    return parser


def _vocoder(args: argparse.Namespace) -> Tuple[Any, Dict[str, Any]]:
    """The vocoder, and the mel it was made for."""
    if (args.vocoder_train_config is None) != (args.vocoder_file is None):
        raise InputError(
            "--vocoder_train_config and --vocoder_file belong together; give both"
        )
    if args.vocoder_file is not None:
        from espnet_fsqdiff.vocoder import TrainedVocoder

        vocoder = TrainedVocoder.from_files(
            args.vocoder_train_config, args.vocoder_file, "cpu"
        )
        return vocoder, vocoder.mel
    from espnet_fsqdiff.token2wav import build_vocoder

    mel = {name: getattr(args, name) for name in MEL_OPTIONS}
    mel["window"] = "hann"
    mel["fmax"] = args.fs // 2 if args.fmax is None else args.fmax
    return build_vocoder("griffin_lim", mel, dict(num_iters=args.num_iters)), mel


def _settings(args: argparse.Namespace) -> Dict[str, Any]:
    """All that the copies and their timing depend on."""
    chosen = {
        k: v for k, v in vars(args).items() if k not in ("output_dir", "num_utts")
    }
    if args.vocoder_file is not None:
        for option in ("vocoder_train_config", "vocoder_file"):
            content = Path(chosen[option]).read_bytes()
            chosen[option] = hashlib.sha256(content).hexdigest()
    return chosen


def _source(path: str) -> str:
    """Digest, of one word, of what tells a recording from another."""
    return hashlib.sha256(stamp(path).encode()).hexdigest()[:32]


def _start(output_dir: Path, settings: Dict[str, Any]) -> None:
    """Note what the directory is for, or see that it is for the same.

    Raises:
        InputError: It holds copies of another kind.
    """
    from espnet_fsqdiff.files import atomic_path

    path = output_dir / "settings.json"
    if not path.is_file():
        with atomic_path(path) as aside:
            aside.write_text(json.dumps(settings, indent=1) + "\n")
        return
    if json.loads(path.read_text()) != settings:
        raise InputError(
            f"{output_dir}: holds copies made with other options; remove it or give "
            "another --output_dir"
        )


def main(cmd: Optional[List[str]] = None) -> None:
    """Copy every utterance that is not copied yet.

    Raises:
        InputError: A file is missing or unfit, or options do not go together.
    """
    args = get_parser().parse_args(cmd)
    if args.num_threads < 1 or (args.num_utts is not None and args.num_utts < 1):
        raise InputError("--num_threads and --num_utts have to be at least 1")
    import torch
    from tqdm import tqdm

    from espnet_fsqdiff.data.audio import load_audio
    from espnet_fsqdiff.data.datadir import read_table, write_table
    from espnet_fsqdiff.files import atomic_path
    from espnet_fsqdiff.model_size import model_size
    from espnet_fsqdiff.token2wav.mel import mel_extractor
    from espnet_fsqdiff.wav_io import write_wave

    torch.set_num_threads(args.num_threads)
    wavs = dict(list(read_table(args.wav_scp).items())[: args.num_utts])
    if not wavs:
        raise InputError(f"{args.wav_scp}: no utterance in it")
    vocoder, mel = _vocoder(args)
    extract = mel_extractor(mel)
    output_dir = Path(args.output_dir)
    _start(output_dir, _settings(args))
    # Of each wave that is there: seconds, processor seconds, seconds of speech, and
    # what it is a copy of.
    sources = {utt: _source(path) for utt, path in wavs.items()}
    times = {}
    if (output_dir / "utt2work").is_file():
        for utt, line in read_table(output_dir / "utt2work").items():
            *row, source = line.split()
            if len(row) == 3 and sources.get(utt, source) == source:
                times[utt] = (*map(float, row), source)
    paths = {utt: output_dir / "wav" / f"{utt}.wav" for utt in wavs}
    todo = [utt for utt in wavs if utt not in times or not paths[utt].is_file()]
    warm = False
    for utt in tqdm(todo, unit="utt", disable=None):
        wave = torch.from_numpy(load_audio(wavs[utt], vocoder.fs, utt))
        if wave.numel() <= mel["n_fft"] // 2:
            raise InputError(f"{utt}: too short for this mel; remove the utterance")
        features = extract(wave[None], torch.tensor([wave.numel()]))[0][0]
        if not warm:
            # What is loaded and prepared once is nobody's real-time factor.
            vocoder(features)
            warm = True
        start = time.perf_counter(), time.process_time()
        copy = vocoder(features)
        end = time.perf_counter(), time.process_time()
        write_wave(paths[utt], copy, vocoder.fs, utt)
        work = (end[0] - start[0], end[1] - start[1])
        times[utt] = (*work, copy.numel() / vocoder.fs, sources[utt])
        lines = {u: "{:.6f} {:.6f} {:.6f} {}".format(*row) for u, row in times.items()}
        write_table(output_dir / "utt2work", lines)
    write_table(output_dir / "wav.scp", paths)
    wall, cpu, speech = (sum(times[utt][i] for utt in wavs) for i in range(3))
    stats = dict(
        rtf=wall / speech,
        rtf_cpu=cpu / speech,
        threads=args.num_threads,
        **model_size(vocoder),
    )
    with atomic_path(output_dir / "stats.json") as aside:
        aside.write_text(json.dumps(stats, indent=1) + "\n")


if __name__ == "__main__":
    cli(main)
