"""Waves from true tokens: the ceiling that tokenizer and token-to-wave set."""

import argparse
import json
import time
import zlib
from typing import List, Optional

from espnet_fsqdiff.bin.chain_arguments import (
    add_inference_config,
    add_speaker_argument,
    add_token2mel_arguments,
    add_vocoder_arguments,
    given_options,
)
from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.chain_options import CHAIN_OPTIONS
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.espnet_check import require_espnet


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    require_espnet()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_config", required=True, help="Tokenizer's config.yaml")
    parser.add_argument("--model_file", required=True, help="Tokenizer's weights")
    parser.add_argument("--tokens", required=True, help="tokens.scp or tokens.txt")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--ngpu", type=int, default=0)
    parser.add_argument("--batch_size", type=int, default=8)
    add_inference_config(parser)
    add_token2mel_arguments(parser)
    add_speaker_argument(parser)
    add_vocoder_arguments(parser)
    return parser


def main(cmd: Optional[List[str]] = None) -> None:
    """Make every utterance of a set audible."""
    args = get_parser().parse_args(cmd)
    if args.batch_size < 1:
        raise InputError(f"--batch_size {args.batch_size}: give at least 1")
    import torch
    from tqdm import tqdm

    from espnet_fsqdiff.files import atomic_path
    from espnet_fsqdiff.token2wav import TokenToWave, by_name, load_chain
    from espnet_fsqdiff.token2wav.speakers import read_embeddings
    from espnet_fsqdiff.token_io import read_tokens
    from espnet_fsqdiff.tokenizer import SpeechTokenizer
    from espnet_fsqdiff.wav_io import WaveWriter

    device = "cuda" if args.ngpu else "cpu"
    tokenizer = SpeechTokenizer.from_pretrained(
        args.train_config, args.model_file, device=device
    )
    options = given_options(args, CHAIN_OPTIONS)
    chain = load_chain(tokenizer.mel_decoder, device=device, **options)
    tokens = read_tokens(args.tokens, tokenizer.num_codes)
    writer = WaveWriter(args.output_dir, chain.fs)
    names = list(tokens)
    voices = None
    if args.spk_embeds is not None:
        voices = read_embeddings(args.spk_embeds, names)
    start, samples = (time.perf_counter(), time.process_time()), 0
    with tqdm(total=len(names), unit="utt", disable=None) as bar:
        for first in range(0, len(names), args.batch_size):
            part = names[first : first + args.batch_size]
            rows = [tokens[name] for name in part]
            seeds = [zlib.crc32(name.encode()) for name in part]
            own = voices and [voices[name] for name in part]
            sounds = by_name(chain, part, rows, seeds=seeds, spk_embeds=own)
            for name, sound in zip(part, sounds, strict=True):
                samples += sound.wave.numel()
                writer(name, sound.wave)
                bar.update()
    writer.close()
    seconds = samples / chain.fs
    stats = dict(
        rtf=(time.perf_counter() - start[0]) / seconds,
        rtf_cpu=(time.process_time() - start[1]) / seconds,
        threads=torch.get_num_threads(),
    )
    if isinstance(chain, TokenToWave):  # not somebody else's, which hides its parts
        stats.update(chain.size)
    with atomic_path(writer.output_dir / "stats.json") as aside:
        aside.write_text(json.dumps(stats, indent=1) + "\n")


if __name__ == "__main__":
    cli(main)
