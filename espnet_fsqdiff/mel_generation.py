"""Mels of true tokens, for a vocoder to be tuned to, in parallel jobs; see `shards`."""

import hashlib
import logging
import time
import zlib
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Union

import numpy as np
import torch

from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.data.datadir import write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.shards import (
    CHUNK_SIZE,
    Chunk,
    Chunks,
    check_whole,
    deal,
    digest_file,
    remove_strays,
    unfinished,
)
from espnet_fsqdiff.token2wav.chain import by_name
from espnet_fsqdiff.token2wav.speakers import read_embeddings
from espnet_fsqdiff.token_io import read_tokens

PathLike = Union[str, Path]


class Utterance(NamedTuple):
    """What its mel is made of: tokens (T,), and a speaker embedding (D,) or None."""

    tokens: np.ndarray
    spk_embed: Optional[torch.Tensor] = None


def plan(
    token_dirs: Sequence[Path],
    output_root: Path,
    num_jobs: int,
    key: str,
    chunk_size: int = CHUNK_SIZE,
    spk_embeds: Optional[Sequence[PathLike]] = None,
) -> Chunks:
    """Deal the utterances of all sets to the jobs.

    Args:
        token_dirs: Directories with `tokens.scp`; their last names are the sets'.
        output_root: The sets' mels go into directories of the same names here.
        num_jobs: How many parts.
        key: Digest of the mel maker and of the options that change its output.
        chunk_size: Utterances in a chunk at most.
        spk_embeds: Of each set, the scp of speaker embeddings by utterance; None for a
            mel maker without.

    Returns:
        Chunks by output directory; the `data` of a chunk are `Utterance`s by id.

    Raises:
        InputError: Tokens or embeddings are missing or damaged, or two sets have one
            name.
    """
    chunks: Chunks = {}
    if spk_embeds is None:
        spk_embeds = [None] * len(token_dirs)
    if len(spk_embeds) != len(token_dirs):
        raise InputError(
            f"{len(spk_embeds)} files of speaker embeddings for {len(token_dirs)} "
            "sets; give one for each"
        )
    for token_dir, voices_file in zip(token_dirs, spk_embeds):
        out = output_root / token_dir.name
        if out in chunks:
            raise InputError(f"{token_dir}: another set is called so too; rename one")
        tokens = read_tokens(token_dir / "tokens.scp")
        voices: Dict[str, torch.Tensor] = {}
        if voices_file is not None:
            voices = read_embeddings(voices_file, tokens)
        chunks[out] = []
        for job, number, utts in deal(sorted(tokens), num_jobs, chunk_size):
            part = {utt: Utterance(tokens[utt], voices.get(utt)) for utt in utts}
            ark = out / f"mels.{job}.{number}.ark"
            chunks[out].append(Chunk(ark, job, part, partial(_chunk_key, key, part)))
    return chunks


def _chunk_key(key: str, utterances: Dict[str, Utterance]) -> str:
    digest = hashlib.sha256(key.encode())
    for utt, (tokens, voice) in utterances.items():
        row = tokens.astype("<i8").tobytes()
        digest.update(f" {utt} {len(tokens)} ".encode() + row)
        if voice is not None:
            digest.update(voice.numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def run_job(
    chunks: Chunks, job: int, load_chain: Callable[[], Any], batch_size: int = 16
) -> None:
    """Make the chunks of one job that are not there yet.

    What is random of an utterance is seeded by its name.

    Args:
        chunks: The plan.
        job: From 1.
        load_chain: Returns a `TokenToWave`; called if there is work.
        batch_size: Utterances in a batch.

    Raises:
        InputError: An utterance has no mel, such as for a token outside the codebook;
            the message names it.
    """
    from tqdm import tqdm

    todo, done, total = unfinished(chunks, job)
    logging.info(f"job {job}: {total} utterances, {done} of them done before")
    if not todo:
        return
    chain = load_chain()
    began, before = time.perf_counter(), done
    with tqdm(
        total=total, initial=done, desc=f"mels, job {job}", unit="utt", disable=None
    ) as bar:
        for chunk in todo:
            # A set whose archives change must not look finished.
            (chunk.ark.parent / "mels.scp").unlink(missing_ok=True)
            chunk.note.unlink(missing_ok=True)
            mels = {}
            # Of like length, so that little is padded.
            rows = chunk.data
            order = sorted(rows, key=lambda utt: (len(rows[utt].tokens), utt))
            for at in range(0, len(order), batch_size):
                utts = order[at : at + batch_size]
                voices = [rows[utt].spk_embed for utt in utts]
                made = by_name(
                    chain.mels,
                    utts,
                    [rows[utt].tokens for utt in utts],
                    seeds=[zlib.crc32(utt.encode()) for utt in utts],
                    spk_embeds=None if voices[0] is None else voices,
                )
                mels.update(zip(utts, (mel.numpy() for mel in made), strict=True))
                done += len(utts)
                bar.update(len(utts))
            chunk.ark.parent.mkdir(parents=True, exist_ok=True)
            arrays = {utt: mels[utt] for utt in chunk.data}
            offsets = write_ark(chunk.ark, arrays, np.float32)
            frames = {utt: len(mel) for utt, mel in arrays.items()}
            chunk.write_note(offsets=offsets, frames=frames)
            rate = (done - before) / (time.perf_counter() - began)
            logging.info(
                f"job {job}: {done} of {total} utterances, {rate:.1f} a second"
            )


def merge(chunks: Chunks) -> None:
    """Write `mels.scp` and `utt2num_frames` of every set from the chunks of all jobs.

    Raises:
        InputError: Utterances are missing; the message names the set, the jobs to run
            and the first utterance.
    """
    for out, part in chunks.items():
        check_whole(out, part, "mels", "the mel generation")
        entries: Dict[str, str] = {}
        frames: Dict[str, int] = {}
        for chunk in part:
            note = chunk.load_note()
            entries.update(
                {u: f"{chunk.ark}:{at}" for u, at in note["offsets"].items()}
            )
            frames.update(note["frames"])
        write_table(out / "utt2num_frames", frames)
        write_table(out / "mels.scp", entries)
        remove_strays(out, part, "mels")
        logging.info(f"{out}: mels of {len(entries)} utterances")


def mel_maker_key(files: Sequence[Path], options: List[Any]) -> str:
    """Digest of a mel maker's files and options."""
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: no such file; train it first")
    return " ".join([*map(digest_file, files), *map(repr, options)])
