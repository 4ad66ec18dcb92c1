"""Waves from true tokens: the ceiling that the tokenizer sets."""

import argparse
import json
import time

from espnet_fsqdiff.bin.cli import cli


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_config", required=True, help="Tokenizer's config.yaml")
    parser.add_argument("--model_file", required=True, help="Tokenizer's weights")
    parser.add_argument("--tokens", required=True, help="tokens.scp or tokens.txt")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--ngpu", type=int, default=0)
    return parser


def main(cmd=None) -> None:
    """Decode every utterance of a set."""
    args = get_parser().parse_args(cmd)
    from tqdm import tqdm

    from espnet_fsqdiff.files import atomic_path
    from espnet_fsqdiff.token_io import read_tokens
    from espnet_fsqdiff.tokenizer import SpeechTokenizer
    from espnet_fsqdiff.wav_io import WaveWriter

    tokenizer = SpeechTokenizer.from_pretrained(
        args.train_config, args.model_file, device="cuda" if args.ngpu else "cpu"
    )
    tokens = read_tokens(args.tokens, tokenizer.num_codes)
    writer = WaveWriter(args.output_dir, tokenizer.vocoder.fs)
    start, samples = time.perf_counter(), 0
    for utt_id, ids in tqdm(tokens.items(), unit="utt", disable=None):
        wav = tokenizer.decode(ids)
        samples += wav.numel()
        writer(utt_id, wav)
    writer.close()
    rtf = (time.perf_counter() - start) / (samples / tokenizer.vocoder.fs)
    with atomic_path(writer.output_dir / "stats.json") as aside:
        aside.write_text(json.dumps({"rtf": rtf}, indent=1) + "\n")


if __name__ == "__main__":
    cli(main)
