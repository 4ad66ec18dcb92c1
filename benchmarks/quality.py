"""What the sampler's options cost and bring: CER, rollout accuracy, real-time factor.

    python -m benchmarks.quality --exp exp/cdcd_x --tokenizer_exp exp/tokenizer_x \\
        --duration_file exp/duration_x/duration.yaml --data_dir dump/raw/test \\
        --tokens_dir dump/tokens/x/test --output_dir exp/cdcd_x/sampling

run in a recipe's directory. One option at a time is changed from a base setting. Every
line is written as soon as it is known, and a run that was stopped goes on.
"""

import argparse
import csv
import itertools
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.nets.precision import cpu_supports_bfloat16

COLUMNS = ("what", "setting", "cer", "wer", "rollout_accuracy", "rtf_sampling")
STEPS = (2, 4, 8, 12, 25)


def settings(base: Dict[str, Any]) -> Iterator[tuple]:
    """Name of the part, name of the setting, options of `Sampling`."""

    def changed(part: str, **options):
        sampler_conf = options.get("sampler_conf", {})
        shown = {k: v for k, v in options.items() if k != "sampler_conf"}
        shown.update(sampler_conf)
        name = ", ".join(f"{k} {v}" for k, v in shown.items())
        return part, name, {**base, **options}

    yield "base", "", base
    for grid, steps in itertools.product(("uniform", "information"), STEPS):
        yield changed("steps", num_steps=steps, time_grid=grid)
    for steps in (4, 8, 12):
        yield changed("sampler", sampler="dpm_solver_2m", num_steps=steps)
        yield changed(
            "sampler", sampler="churn", sampler_conf={"eta": 0.5}, num_steps=steps
        )
        yield changed("sampler", sampler="hard_rounding", num_steps=steps)
    for scale in (0.0, 0.25, 1.0, 2.0):
        yield changed("guidance", guidance_scale=scale)
    for interval in ((0.0, 0.6), (0.3, 0.8), (0.5, 1.0), (0.8, 1.0)):
        yield changed("guidance", guidance_interval=interval)
    for temperature in (0.5, 0.8, 0.9, 1.2):
        yield changed("temperature", temperature=temperature)
    for std in (0.33, 1.0):
        yield changed("prior", prior_std=std)
    if cpu_supports_bfloat16():
        yield changed("precision", precision="bfloat16")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", required=True, help="Directory of the decoder")
    parser.add_argument("--model", default="valid.loss.ave.pth")
    parser.add_argument("--tokenizer_exp", required=True)
    parser.add_argument("--tokenizer_model", default="valid.loss.ave.pth")
    parser.add_argument("--duration_file", required=True)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--tokens_dir", required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--num_steps", type=int, default=8, help="Of the base")
    parser.add_argument("--parts", nargs="+", help="Only these parts")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--nj", type=int, default=2)
    return parser


def known_lines(path: Path) -> List[Dict[str, str]]:
    """Lines of the table that an earlier run has written."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def measure(tts, texts, args, directory: Path) -> Dict[str, float]:
    """Synthesise and score one setting."""
    from espnet_fsqdiff.bin.tts_inference import rollout_accuracy
    from espnet_fsqdiff.scoring.recognizer import (
        PocketsphinxRecognizer,
        recognize_files,
    )
    from espnet_fsqdiff.scoring.text import error_rates
    from espnet_fsqdiff.wav_io import WaveWriter

    names, files, seconds, spoken = list(texts), {}, 0.0, 0.0
    writer = WaveWriter(directory, tts.fs)
    for first in range(0, len(names), args.batch_size):
        part = names[first : first + args.batch_size]
        for name, result in zip(part, tts.speak([texts[n] for n in part], part)):
            writer(name, result["wav"])
            length = len(result["wav"]) / tts.fs
            spoken += length
            seconds += length * result["rtf_sampling"]
    writer.close()
    for line in (directory / "wav.scp").read_text(encoding="utf-8").splitlines():
        name, path = line.split(maxsplit=1)
        files[name] = path
    heard = recognize_files(files, PocketsphinxRecognizer(), nj=args.nj)
    accuracy = rollout_accuracy(tts, texts, Path(args.tokens_dir), args.batch_size)
    rates = error_rates([texts[n] for n in names], [heard[n] for n in names])
    return dict(rates, rollout_accuracy=accuracy, rtf_sampling=seconds / spoken)


def main(cmd: Optional[List[str]] = None) -> None:
    """Measure every setting that is not known yet and print the table."""
    args = get_parser().parse_args(cmd)
    from espnet_fsqdiff.data.datadir import read_table
    from espnet_fsqdiff.diffusion import Sampling
    from espnet_fsqdiff.text2speech import Text2Speech

    out = Path(args.output_dir)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "sampling.csv"
    done = known_lines(path)
    known = {(line["what"], line["setting"]) for line in done}
    exp, tokenizer = Path(args.exp), Path(args.tokenizer_exp)
    tts = Text2Speech.from_files(
        exp / "config.yaml",
        exp / args.model,
        tokenizer / "config.yaml",
        tokenizer / args.tokenizer_model,
        args.duration_file,
    )
    texts = read_table(Path(args.data_dir) / "text")
    print(f"{len(texts)} utterances, base: ddim, {args.num_steps} steps", flush=True)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for line in done:
        print(f"| {' | '.join(line[c] for c in COLUMNS)} |", flush=True)
    for what, name, options in settings(dict(num_steps=args.num_steps)):
        if (what, name) in known or (args.parts and what not in args.parts):
            continue
        tts.sampling = Sampling(**options)
        figures = measure(tts, texts, args, out / "work")
        line = dict(what=what, setting=name)
        line.update({k: f"{v:.4f}" for k, v in figures.items()})
        new = not path.is_file()
        with open(path, "a", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(line)
        print(f"| {' | '.join(line[c] for c in COLUMNS)} |", flush=True)


if __name__ == "__main__":
    cli(main)
