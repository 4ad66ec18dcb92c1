"""Synthesise the texts of a data directory with trained models.

Where the directory has prompts (`prompt_wav.scp` and `prompt_text`), every utterance
goes on from its own, if the model was trained with prompts.
"""

import json
import logging
from dataclasses import asdict, fields
from pathlib import Path
from typing import Dict, List, Optional

from espnet_fsqdiff.bin.chain_arguments import (
    add_speaker_argument,
    add_token2mel_arguments,
    add_vocoder_arguments,
    forget_others_options,
)
from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.chain_options import CHAIN_OPTIONS
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.espnet_check import require_espnet
from espnet_fsqdiff.yaml_files import check_config


def get_parser():
    """Return the parser of the command (ESPnet's, with `--config`)."""
    require_espnet()
    from espnet2.utils import config_argparse
    from espnet2.utils.nested_dict_action import NestedDictAction
    from espnet2.utils.types import str2bool

    parser = config_argparse.ArgumentParser(description=__doc__)
    group = parser.add_argument_group("Files")
    group.add_argument(
        "--train_config",
        required=True,
        help="config.yaml of cdcd_train or token_lm_train",
    )
    group.add_argument("--model_file", required=True)
    group.add_argument("--tokenizer_config", help="None for CosyVoice 2's tokenizer")
    group.add_argument(
        "--tokenizer_file", required=True, help="Weights, or speech_tokenizer_v2.onnx"
    )
    group.add_argument("--duration_file", required=True)
    group.add_argument("--data_dir", required=True, help="Directory with a file text")
    group.add_argument(
        "--tokens_dir", help="True tokens of the set: measures the rollout with them"
    )
    group.add_argument("--output_dir", required=True)
    # None: the default of the model's own kind of sampling.
    group = parser.add_argument_group(
        "Sampling", "Defaults are those of diffusion.Sampling and lm.LMSampling"
    )
    group.add_argument("--temperature", type=float, help="Divides the logits")
    group.add_argument("--precision", help="float32, bfloat16 or float16")
    group = parser.add_argument_group("Sampling, diffusion")
    group.add_argument("--num_steps", type=int)
    group.add_argument("--sampler")
    group.add_argument("--sampler_conf", action=NestedDictAction)
    group.add_argument("--time_grid")
    group.add_argument("--guidance_scale", type=float)
    group.add_argument("--guidance_interval", type=float, nargs=2)
    group.add_argument("--prior_std", type=float)
    group.add_argument("--max_frames", type=int, help="In one call of the network")
    group.add_argument("--workers", type=int, help="Calls of the network at once")
    group = parser.add_argument_group("Sampling, language model")
    group.add_argument("--top_k", type=int)
    group.add_argument("--top_p", type=float)
    group.add_argument("--repetition_window", type=int)
    group.add_argument("--repetition_ratio", type=float)
    group.add_argument("--min_ratio", type=float)
    group.add_argument("--max_ratio", type=float)
    group = parser.add_argument_group("Speech")
    group.add_argument(
        "--compile",
        type=str2bool,
        default=False,
        help="Compile the network: slow at first, then faster; needs a C++ compiler",
    )
    group.add_argument(
        "--normalizer", help="Writes numbers and the like as words: spoken_english"
    )
    group.add_argument("--speed", type=float, default=1.0)
    group.add_argument("--seed", type=int, default=0)
    group.add_argument("--batch_size", type=int, default=8)
    group.add_argument("--ngpu", type=int, default=0)
    group.add_argument("--backend", default="torch", choices=["torch", "onnx"])
    group.add_argument("--onnx_dir", help="Of export_onnx, for backend onnx")
    add_token2mel_arguments(parser)
    add_speaker_argument(parser)
    add_vocoder_arguments(parser)
    return parser


def main(cmd: Optional[List[str]] = None) -> None:
    """Synthesise, and measure the rollout where true tokens are given."""
    check_config(cmd)
    args = get_parser().parse_args(cmd)
    if args.batch_size < 1:
        raise InputError(f"--batch_size {args.batch_size}: give at least 1")
    forget_others_options(args)
    from tqdm import tqdm

    from espnet_fsqdiff.data.datadir import read_table
    from espnet_fsqdiff.diffusion import Sampling
    from espnet_fsqdiff.files import atomic_path
    from espnet_fsqdiff.lm import LMSampling
    from espnet_fsqdiff.text2speech import Text2Speech
    from espnet_fsqdiff.token2wav.speakers import read_embeddings
    from espnet_fsqdiff.token_io import write_int_table
    from espnet_fsqdiff.wav_io import WaveWriter

    known = {field.name for kind in (Sampling, LMSampling) for field in fields(kind)}
    sampling = {name: getattr(args, name) for name in sorted(known)}
    tts = Text2Speech.from_files(
        args.train_config,
        args.model_file,
        args.tokenizer_config,
        args.tokenizer_file,
        args.duration_file,
        device="cuda" if args.ngpu else "cpu",
        backend=args.backend,
        onnx_dir=args.onnx_dir,
        speed=args.speed,
        seed=args.seed,
        compile=args.compile,
        normalizer=args.normalizer,
        **{name: getattr(args, name) for name in CHAIN_OPTIONS},
        **{name: value for name, value in sampling.items() if value is not None},
    )
    texts = read_table(Path(args.data_dir) / "text")
    prompts = make_prompts(tts, Path(args.data_dir), texts)
    voices = None
    if args.spk_embeds is not None:
        voices = read_embeddings(args.spk_embeds, texts)
    names = list(texts)
    writer = WaveWriter(args.output_dir, tts.fs)
    sampling_seconds = 0.0
    tokens: Dict[str, object] = {}
    seconds = spoken = 0.0
    unfinished = 0
    bar = tqdm(total=len(names), unit="utt", disable=None)
    for first in range(0, len(names), args.batch_size):
        part = names[first : first + args.batch_size]
        results = tts.speak(
            [texts[n] for n in part],
            part,
            prompts=prompts and [prompts[n] for n in part],
            spk_embeds=voices and [voices[n] for n in part],
        )
        for name, result in zip(part, results):
            writer(name, result["wav"])
            tokens[name] = result["tokens"].numpy()
            unfinished += not result["complete"]
            length = len(result["wav"]) / tts.fs
            spoken += length
            seconds += length * result["rtf"]
            sampling_seconds += length * result["rtf_sampling"]
            bar.update()
    bar.close()
    writer.close()
    write_int_table(writer.output_dir / "tokens.txt", tokens)
    stats = {"rtf": seconds / spoken, **asdict(tts.sampling)}
    if prompts is not None:
        stats["prompts"] = len(prompts)
    if unfinished:
        stats["unfinished"] = unfinished
    if args.tokens_dir is not None:
        tokens_dir = Path(args.tokens_dir)
        counts = rollout_counts(tts, texts, tokens_dir, args.batch_size, prompts)
        stats["rollout_token_accuracy"] = accuracy_of(counts)
        write_int_table(writer.output_dir / "rollout.txt", counts)
    stats["rtf_sampling"] = sampling_seconds / spoken
    with atomic_path(writer.output_dir / "stats.json") as aside:
        aside.write_text(json.dumps(stats, indent=1) + "\n")
    print(json.dumps(stats))


def make_prompts(tts, data_dir: Path, texts: Dict[str, str]) -> Optional[Dict]:
    """The prompt of each utterance, before any is spoken.

    Transcripts of a corpus belong to their recordings, so the recognition head is not
    asked: it may have been trained on little.

    Args:
        tts: Whose prompts they become.
        data_dir: Directory that may have prompts.
        texts: Texts by utterance id.

    Returns:
        `Prompt` by utterance id; None if there are none or the model takes none.

    Raises:
        InputError: If an utterance has no prompt, or one that does not do.
    """
    from tqdm import tqdm

    from espnet_fsqdiff.data.datadir import PROMPT_WAV, read_prompts
    from espnet_fsqdiff.prompting import make_prompt

    wavs, words = read_prompts(data_dir, texts)
    if not wavs:
        return None
    if not tts.model.takes_prompts:
        logging.warning(
            f"{data_dir / PROMPT_WAV} is not used: the model was trained without "
            "prompts"
        )
        return None
    made, prompts = {}, {}
    for name in tqdm(texts, "prompts", unit="utt", disable=None):
        pair = wavs[name], words[name]
        if pair not in made:
            try:
                made[pair] = make_prompt(tts, *pair, check=False)
            except InputError as e:
                raise InputError(f"{name}: {e}") from None
        prompts[name] = made[pair]
    return prompts


def accuracy_of(counts) -> float:
    """Right tokens of all utterances over all tokens."""
    right, total = (sum(column) for column in zip(*counts.values()))
    return int(right) / int(total)


def rollout_counts(
    tts,
    texts: Dict[str, str],
    tokens_dir: Path,
    batch_size: int,
    prompts: Optional[Dict] = None,
):
    """Right and all tokens (2,) of each utterance, sampled at its true length."""
    import numpy as np

    from espnet_fsqdiff.token_io import read_int_table, read_tokens

    true = read_tokens(tokens_dir / "tokens.scp", tts.tokenizer.num_codes)
    missing = [name for name in texts if name not in true]
    if missing:
        raise InputError(
            f"{missing[0]}: it has no tokens in {tokens_dir}; extract them again"
        )
    durations = None
    if tts.text_expansion == "alignment":
        durations = read_int_table(tokens_dir / "durations.txt")
    names, counts = list(texts), {}
    for first in range(0, len(names), batch_size):
        part = names[first : first + batch_size]
        sampled = tts.rollout(
            [texts[n] for n in part],
            part,
            [len(true[n]) for n in part],
            None if durations is None else [durations[n] for n in part],
            prompts and [prompts[n] for n in part],
        )
        for name, ids in zip(part, sampled):
            right = int((ids.numpy() == true[name]).sum())
            counts[name] = np.array([right, len(true[name])])
    return counts


def entry() -> None:
    """Console script."""
    cli(main)


if __name__ == "__main__":
    entry()
