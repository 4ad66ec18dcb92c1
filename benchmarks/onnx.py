"""A packed voice in onnxruntime against torch: seconds, their ratio, what differs.

    python -m benchmarks.onnx --model exp/cdcd_x/packed/x.zip

Both speak the same text with the same noise, in turns. Prints Markdown.
"""

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import Iterator, List, Optional

import torch

from benchmarks.machine import describe, medians
from benchmarks.tables import share, table
from benchmarks.workload import SYMBOLS_PER_SECOND
from espnet_fsqdiff.bin.cli import cli

TEXT = "the happy woman followed the yellow pencil and nobody knew where it had been "


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.onnx",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="Packed voice: zip or directory")
    parser.add_argument("--onnx_dir", help="Its graphs; exported anew by default")
    parser.add_argument("--seconds", nargs="+", type=float, default=[1, 5, 20])
    parser.add_argument("--batch_size", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--num_steps", type=int, help="Of the sampler; the voice's own")
    parser.add_argument("--guidance_scale", type=float, help="The voice's own")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5, help="The median is taken")
    return parser


def texts_of(seconds: float, size: int) -> List[str]:
    """Texts that take about so long to say, each another one."""
    length = max(3, round(seconds * SYMBOLS_PER_SECOND))
    words = TEXT.split()
    texts = []
    for first in range(size):
        turned = itertools.cycle(words[first:] + words[:first])
        text = next(turned)
        while len(text) < length:
            text = f"{text} {next(turned)}"
        texts.append(text)
    return texts


def rows(torch_tts, onnx_tts, args: argparse.Namespace) -> Iterator[List[str]]:
    """Rows of the table."""
    rate = torch_tts.tokenizer.rate_hz
    for seconds, size in itertools.product(args.seconds, args.batch_size):
        texts = texts_of(seconds, size)
        names = [str(i) for i in range(size)]
        lengths = [max(round(seconds * rate), len(text) + 2) for text in texts]

        def tokens(tts):
            return tts.rollout(texts, names, lengths)

        ours, theirs = tokens(torch_tts), tokens(onnx_tts)
        equal = (torch.cat(ours) == torch.cat(theirs)).double().mean().item()

        def mels(tts):
            return [tts.tokenizer.decode_mel(ids) for ids in ours]

        pairs = zip(mels(torch_tts), mels(onnx_tts))
        apart = max((a - b).abs().max().item() for a, b in pairs)
        took = medians(
            {
                "torch": lambda: tokens(torch_tts),
                "onnx": lambda: tokens(onnx_tts),
                "torch mel": lambda: mels(torch_tts),
                "onnx mel": lambda: mels(onnx_tts),
            },
            args.repeats,
        )
        for part, suffix, same in (
            ("tokens", "", share(equal) + " equal"),
            ("mel", " mel", f"within {apart:.0e}"),
        ):
            a, b = took[f"torch{suffix}"], took[f"onnx{suffix}"]
            what = [f"{sum(lengths) / rate / size:.1f}", f"{size}", part]
            yield [*what, f"{a:.3f}", f"{b:.3f}", f"{a / b:.2f}", same]


def main(cmd: Optional[List[str]] = None) -> None:
    """Time both and print the table."""
    args = get_parser().parse_args(cmd)
    from espnet_fsqdiff.bin import export_onnx
    from espnet_fsqdiff.text2speech import Text2Speech

    torch.set_num_threads(args.threads)
    options = dict(num_steps=args.num_steps, guidance_scale=args.guidance_scale)
    options = {name: value for name, value in options.items() if value is not None}
    with tempfile.TemporaryDirectory() as tmp:
        folder = args.onnx_dir or tmp
        if args.onnx_dir is None:
            export_onnx.main(["--model", args.model, "--outdir", tmp])
        torch_tts = Text2Speech.from_pretrained(args.model, **options)
        onnx_tts = Text2Speech.from_pretrained(
            args.model, backend="onnx", onnx_dir=folder, **options
        )
    import onnxruntime

    lines = [*describe(torch.device("cpu")), f"onnxruntime {onnxruntime.__version__}"]
    print("\n".join(f"* {line}" for line in lines) + "\n")
    sampling = torch_tts.sampling
    print(
        f"`{Path(args.model).name}`, {sampling.num_steps} steps, guidance "
        f"{sampling.guidance_scale:g}.\n"
    )
    heads = "speech s|texts|part|torch s|onnx s|torch / onnx|tokens, mels"
    for line in table(heads, rows(torch_tts, onnx_tts, args)):
        print(line, flush=True)


if __name__ == "__main__":
    cli(main)
