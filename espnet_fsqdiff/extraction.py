"""Token extraction in parallel jobs that can be killed and started again.

See `shards`; `merge` joins the chunks of all jobs to one set.
"""

import hashlib
import json
import logging
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Optional,
    Sequence,
    TextIO,
    Tuple,
)

import numpy as np

from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.data.datadir import DataDir, check_audio_file
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import atomic_path
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
from espnet_fsqdiff.token_io import (
    check_tokens,
    count_codes,
    format_row,
    read_entries,
    token_stats,
    write_counts,
)

# What `merge` writes; tokens.scp comes last and stands for the set.
_SET_FILES = (
    "tokens.scp",
    "tokens.txt",
    "utt2num_tokens",
    "durations.txt",
    "counts.txt",
    "stats.json",
    "tokens.sha256",
)


def model_key(train_config: Optional[Path], model_file: Path) -> str:
    """Digest of a tokenizer, of what files it has."""
    paths = [path for path in (train_config, model_file) if path is not None]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file; train the tokenizer (stage 6)")
    return "".join(map(digest_file, paths))


def plan(
    data_dirs: Sequence[Path],
    output_root: Path,
    num_jobs: int,
    key: str,
    chunk_size: int = CHUNK_SIZE,
    job: Optional[int] = None,
) -> Chunks:
    """Deal the utterances of all sets to the jobs.

    Every job gets a contiguous part of the sorted utterances of every set. Audio files
    are looked at when the key of their chunk is asked for, so a job leaves those of
    others alone.

    Args:
        data_dirs: Kaldi data directories; their last names are the sets'.
        output_root: The sets' tokens go into directories of the same names here.
        num_jobs: How many parts.
        key: Digest of the tokenizer and of the options that change its output.
        chunk_size: Utterances in a chunk at most.
        job: Plan the chunks of this job alone, from 1; by default those of all.

    Returns:
        Chunks by output directory, in the order of their utterances.

    Raises:
        InputError: A data directory is not in order, or two have one name.
    """
    chunks: Chunks = {}
    for data_dir in data_dirs:
        out = output_root / data_dir.name
        if out in chunks:
            raise InputError(
                f"{data_dir}: another data directory is called {data_dir.name} too; "
                "rename one"
            )
        data = DataDir.read(data_dir, check_audio=False)
        utts = sorted(data.wav)
        chunks[out] = []
        for whose, number, some in deal(utts, num_jobs, chunk_size):
            if job not in (None, whose):
                continue
            part = data.subset(some)
            ark = out / f"tokens.{whose}.{number}.ark"
            make_key = partial(_chunk_key, key, part, data_dir / "wav.scp")
            chunks[out].append(Chunk(ark, whose, part, make_key))
    return chunks


def _chunk_key(key: str, data: DataDir, wav_scp: Path) -> str:
    digest = hashlib.sha256(key.encode())
    for utt, name in data.wav.items():
        check_audio_file(wav_scp, utt, name)
        stat = Path(name).stat()
        row = [utt, name, stat.st_size, stat.st_mtime_ns, data.text[utt]]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def run_job(
    chunks: Chunks,
    job: int,
    load_tokenizer: Callable[[], Any],
    batch_size: int = 16,
) -> None:
    """Make the chunks of one job that are not there yet.

    Args:
        chunks: The plan.
        job: From 1.
        load_tokenizer: Returns a `SpeechTokenizer`; called if there is work.
        batch_size: Utterances in a batch.

    Raises:
        InputError: Audio or text is at fault; the message names the utterance.
    """
    from tqdm import tqdm

    todo, done, total = unfinished(chunks, job)
    logging.info(f"job {job}: {total} utterances, {done} of them done before")
    if not todo:
        return
    tokenizer = load_tokenizer()
    seconds, began, before = 0.0, time.perf_counter(), done
    with tqdm(
        total=total, initial=done, desc=f"tokens, job {job}", unit="utt", disable=None
    ) as bar:
        for chunk in todo:
            # A set whose archives change must not look finished.
            (chunk.ark.parent / "tokens.scp").unlink(missing_ok=True)
            chunk.note.unlink(missing_ok=True)
            tokens, durations = {}, {}
            for size, length in _encode(
                chunk, tokenizer, batch_size, tokens, durations
            ):
                done, seconds = done + size, seconds + length
                spent = time.perf_counter() - began
                bar.update(size)
                bar.set_postfix_str(f"{seconds / spent:.1f} s of audio/s")
            _write_chunk(chunk, tokenizer, tokens, durations)
            logging.info(
                f"job {job}: {done} of {total} utterances, "
                f"{(done - before) / spent:.1f} utterances/s, "
                f"{seconds / spent:.1f} s of audio/s"
            )


def _encode(
    chunk: Chunk, tokenizer, batch_size: int, tokens: Dict, durations: Dict
) -> Iterator[Tuple[int, float]]:
    """Fill `tokens` and `durations`; yields utterances and seconds of a batch."""
    from espnet_fsqdiff.data.audio import load_audio

    fs = int(tokenizer.fs)
    wavs = {utt: load_audio(name, fs, utt) for utt, name in chunk.data.wav.items()}
    # Of like length, so that little is padded; the order within a chunk is free.
    order = sorted(wavs, key=lambda utt: (len(wavs[utt]), utt))
    for at in range(0, len(order), batch_size):
        utts = order[at : at + batch_size]
        batch = [wavs[utt] for utt in utts]
        if tokenizer.has_ctc:
            found, log_probs = tokenizer.encode_batch(
                batch, fs, utt_ids=utts, return_ctc=True
            )
            durations.update(_align(chunk.data, utts, tokenizer, log_probs))
        else:
            found = tokenizer.encode_batch(batch, fs, utt_ids=utts)
        for utt, array in zip(utts, found):
            tokens[utt] = np.asarray(array, dtype=np.int64)
            check_tokens(tokens[utt], tokenizer.num_codes, utt)
        yield len(utts), sum(map(len, batch)) / fs


def _align(data: DataDir, utts, tokenizer, log_probs) -> Dict[str, np.ndarray]:
    """Durations by utterance from the recognition head (blank first)."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from espnet_fsqdiff.alignment import ctc_align_batch

    encode = tokenizer.text_tokenizer.encode
    ids = [torch.as_tensor(encode(data.text[u], utt_id=u)).long() for u in utts]
    sizes = torch.tensor([len(i) for i in ids])
    durations = ctc_align_batch(
        pad_sequence(log_probs, batch_first=True),
        torch.tensor([len(p) for p in log_probs]),
        pad_sequence([i + 1 for i in ids], batch_first=True),
        sizes,
        utt_ids=utts,
    )
    return {u: d[:n].numpy() for u, d, n in zip(utts, durations.cpu(), sizes)}


def _write_chunk(chunk: Chunk, tokenizer, tokens: Dict, durations: Dict) -> None:
    utts = list(chunk.data.wav)
    offsets = write_ark(chunk.ark, {utt: tokens[utt] for utt in utts})
    chunk.write_note(
        rate_hz=float(tokenizer.rate_hz),
        num_codes=int(tokenizer.num_codes),
        offsets=offsets,
        durations={u: durations[u].tolist() for u in utts if u in durations},
    )


def merge(chunks: Chunks) -> None:
    """Join the chunks of all jobs, after checking that none is missing.

    Raises:
        InputError: Utterances are missing; the message names the set, the jobs
            to run and the first utterance.
    """
    for out, part in chunks.items():
        check_whole(out, part, "tokens", "the extraction")
        _merge_set(out, part)


def _merge_set(out: Path, part: List[Chunk]) -> None:
    first = part[0].load_note()
    num_codes, rate_hz = first["num_codes"], first["rate_hz"]
    for name in _SET_FILES:
        (out / name).unlink(missing_ok=True)
    with atomic_path(out / "tokens.scp") as scp:
        counts, sums = _write_tables(
            out, scp, part, num_codes, aligned=bool(first["durations"])
        )
        write_counts(out / "counts.txt", counts)
        stats = token_stats(counts, sum(len(c.data) for c in part), rate_hz)
        with atomic_path(out / "stats.json") as aside:
            aside.write_text(json.dumps(stats, indent=2) + "\n", encoding="utf-8")
        sums[out / "tokens.scp"] = digest_file(scp)
        others = [out / name for name in _SET_FILES if (out / name).is_file()]
        sums.update({path: digest_file(path) for path in others})
        with atomic_path(out / "tokens.sha256") as aside:
            # As sha256sum writes and checks them.
            lines = [f"{digest}  {path}\n" for path, digest in sums.items()]
            aside.write_text("".join(lines), encoding="utf-8")
    remove_strays(out, part, "tokens")
    logging.info(
        f"{out}: {stats['num_utts']} utterances, {stats['num_tokens']} tokens, "
        f"{stats['used_codes']} of {num_codes} codes used "
        f"({100 * stats['utilisation']:.1f} %), perplexity {stats['perplexity']:.0f}, "
        f"{rate_hz:g} tokens/s, {stats['bits_per_second']:.0f} bit/s "
        f"({stats['entropy_bits_per_second']:.0f} by entropy)"
    )


def _write_tables(
    out: Path, scp: Path, part: List[Chunk], num_codes: int, aligned: bool
) -> Tuple[np.ndarray, Dict[Path, str]]:
    """Write the tables of a set chunk by chunk: a set's tokens need not fit in memory.

    Args:
        out: The set's directory; tokens.txt, utt2num_tokens and durations.txt are
            made there.
        scp: Where the places of the tokens go.
        part: The set's chunks, all of them whole, in the order of the utterances.
        num_codes: Codebook size to check the tokens against.
        aligned: The chunks have durations.

    Returns:
        How often each code is used (num_codes,), and the SHA-256 of every archive.
    """
    counts = np.zeros(num_codes, dtype=np.int64)
    sums: Dict[Path, str] = {}
    with ExitStack() as tables:
        places = tables.enter_context(open(scp, "w", encoding="utf-8"))
        rows = tables.enter_context(_table(out / "tokens.txt"))
        lengths = tables.enter_context(_table(out / "utt2num_tokens"))
        if aligned:
            durations = tables.enter_context(_table(out / "durations.txt"))
        for chunk in part:
            note = chunk.load_note()
            sums[chunk.ark] = note["sha256"]
            entries = {u: f"{chunk.ark}:{at}" for u, at in note["offsets"].items()}
            # The key of a chunk binds it to its utterances: this checks the code.
            assert list(entries) == sorted(chunk.data)
            for utt, tokens in read_entries(entries, out / "tokens.scp"):
                check_tokens(tokens, num_codes, utt)
                counts += count_codes([tokens], num_codes)
                places.write(f"{utt} {entries[utt]}\n")
                rows.write(f"{utt} {format_row(tokens)}\n")
                lengths.write(f"{utt} {len(tokens)}\n")
                if aligned:
                    row = format_row(note["durations"][utt])
                    durations.write(f"{utt} {row}\n")
    return counts, sums


@contextmanager
def _table(path: Path) -> Iterator[TextIO]:
    """A table to write line by line, whole or not at all."""
    with atomic_path(path) as aside, open(aside, "w", encoding="utf-8") as file:
        yield file
