"""Waves from true tokens: the ceiling that tokenizer and token-to-wave set."""

import argparse
import json
import time
import zlib
from typing import List, Optional

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.espnet_check import require_espnet


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    require_espnet()
    from espnet2.utils.nested_dict_action import NestedDictAction

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_config", required=True, help="Tokenizer's config.yaml")
    parser.add_argument("--model_file", required=True, help="Tokenizer's weights")
    parser.add_argument("--tokens", required=True, help="tokens.scp or tokens.txt")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--ngpu", type=int, default=0)
    parser.add_argument("--batch_size", type=int, default=8)
    group = parser.add_argument_group("Token to wave")
    group.add_argument("--token2mel_config", help="config.yaml of token2mel_train")
    group.add_argument("--token2mel_file", help="Its weights")
    group.add_argument(
        "--token2mel_conf",
        action=NestedDictAction,
        default={},
        help="Its sampling: num_steps, solver, guidance_scale, ...",
    )
    group.add_argument("--vocoder_train_config", help="config.yaml of vocoder_train")
    group.add_argument("--vocoder_file", help="Its weights")
    group.add_argument(
        "--vocoder",
        help="griffin_lim, trained, parallel_wavegan, vocos or cosyvoice2; by default "
        "trained if there is --vocoder_file, else griffin_lim",
    )
    group.add_argument("--vocoder_conf", action=NestedDictAction, default={})
    return parser


def main(cmd: Optional[List[str]] = None) -> None:
    """Make every utterance of a set audible."""
    args = get_parser().parse_args(cmd)
    from tqdm import tqdm

    from espnet_fsqdiff.chain_options import CHAIN_OPTIONS
    from espnet_fsqdiff.files import atomic_path
    from espnet_fsqdiff.token2wav import load_chain
    from espnet_fsqdiff.token_io import read_tokens
    from espnet_fsqdiff.tokenizer import SpeechTokenizer
    from espnet_fsqdiff.wav_io import WaveWriter

    device = "cuda" if args.ngpu else "cpu"
    tokenizer = SpeechTokenizer.from_pretrained(
        args.train_config, args.model_file, device=device
    )
    options = {name: getattr(args, name) for name in CHAIN_OPTIONS}
    chain = load_chain(tokenizer.mel_decoder, device=device, **options)
    tokens = read_tokens(args.tokens, tokenizer.num_codes)
    writer = WaveWriter(args.output_dir, chain.fs)
    names = list(tokens)
    start, samples = time.perf_counter(), 0
    with tqdm(total=len(names), unit="utt", disable=None) as bar:
        for first in range(0, len(names), args.batch_size):
            part = names[first : first + args.batch_size]
            rows, seeds = [tokens[n] for n in part], [
                zlib.crc32(n.encode()) for n in part
            ]
            for name, sound in zip(part, chain(rows, seeds=seeds), strict=True):
                samples += sound.wave.numel()
                writer(name, sound.wave)
                bar.update()
    writer.close()
    rtf = (time.perf_counter() - start) / (samples / chain.fs)
    with atomic_path(writer.output_dir / "stats.json") as aside:
        aside.write_text(json.dumps({"rtf": rtf}, indent=1) + "\n")


if __name__ == "__main__":
    cli(main)
