"""A prompt: speech whose voice and pace the model is to go on with.

Its tokens and its transcript stand before what is to be said, as in training, where
a clean prefix of every utterance was given. kappa, the prompt's frames over those
predicted for its text, scales the predicted durations (arXiv 2606.09962).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Tuple, Union

import numpy as np
import torch

from espnet_fsqdiff.alignment import ctc_align, frames_needed
from espnet_fsqdiff.data.audio import LEAST_RATE, MOST_RATE, read_audio
from espnet_fsqdiff.duration import to_frames
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.option_types import check_types, in_range
from espnet_fsqdiff.recognition import ctc_scores

if TYPE_CHECKING:
    from espnet_fsqdiff.synthesis import Synthesizer

# Frames of a prompt over those predicted for its transcript: what a person may do.
RATE_RANGE = (0.5, 2.0)
# The transcript is scored against this many shuffled copies of itself, and has to be
# better than their mean by this many of their standard deviations. Ten test sentences
# of each recipe have 12 to 31; transcripts of other sentences of their length 1 to 5.6;
# noise -0.4 to 3; transcripts whose second half is another's 7.5 to 15.
NUM_SHUFFLED = 40
LEAST_SIGMAS = 6.5
SPACE = "<space>"

Wave = Union[str, Path, np.ndarray, torch.Tensor]


class Prompt(NamedTuple):
    """What stands before an utterance.

    Attributes:
        tokens: Its speech tokens (P,), int64, on the CPU.
        ids: Symbol ids of its transcript (S,), edges included.
        durations: Frames of each symbol (S,), their sum P.
        kappa: Factor on predicted durations.
        edges: Whether its transcript has edge symbols.
        joint: Id of the symbol put between transcript and text, None for none.
        sound: What the chain from tokens to waves goes on from; None for nothing.
    """

    tokens: torch.Tensor
    ids: np.ndarray
    durations: np.ndarray
    kappa: float
    edges: bool
    joint: Optional[int]
    sound: Any = None

    @property
    def num_frames(self) -> int:
        """P."""
        return len(self.tokens)

    @property
    def lead(self) -> int:
        """Frames that `before` adds: the joint's, where no edge gives way to it."""
        return int(not self.edges and self.joint is not None)

    def before(
        self, ids: np.ndarray, durations: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Put the prompt before a text.

        The edges where they meet give way to one space with the silence of both;
        without edges the space has a frame of its own.

        Args:
            ids: Symbol ids of the text (S,).
            durations: Frames of each (S,).

        Returns:
            Symbol ids and durations of both together, whose first P frames are the
            prompt's, and the durations of the text alone, whose sum is the others.
        """
        head, head_frames = self.ids, self.durations
        tail, own, quiet = ids, durations.copy(), 0
        if self.edges:
            quiet, head, head_frames = head_frames[-1], head[:-1], head_frames[:-1]
            lead, tail, tail_frames = own[0], ids[1:], own[1:]
        else:
            lead, tail_frames = self.lead, own.copy()
            own[0] += lead
        middle = [] if self.joint is None else [self.joint]
        frames = [quiet + lead] * len(middle)
        return (
            np.concatenate([head, middle, tail]).astype(np.int64),
            np.concatenate([head_frames, frames, tail_frames]).astype(np.int64),
            own,
        )


def make_prompt(
    synthesizer: "Synthesizer",
    wav: Wave,
    text: str,
    fs: Optional[int] = None,
    check: bool = True,
) -> Prompt:
    """Tokens, transcript and pace of a recording.

    Args:
        synthesizer: Whose models are to go on with it.
        wav: An audio file, or samples (L,) in [-1, 1].
        text: What is said in it, all of it.
        fs: Rate of the samples in Hz; a file has its own.
        check: Whether to ask the tokenizer's recognition head, if there is one,
            whether the transcript belongs to the recording.

    Raises:
        InputError: If the model was trained without prompts, the recording is
            silent or noise, or recording and transcript do not belong together.
    """
    if not synthesizer.model.takes_prompts:
        raise InputError(
            "prompt_wav: this model was trained without prompts and cannot go on "
            "with one; leave it out, or train with loss_conf: prompt_prob above 0"
        )
    check_types("", dict(prompt_text=Optional[str]), dict(prompt_text=text))
    if text is None or not text.strip():
        raise InputError("prompt_text is empty; write what is said in prompt_wav")
    name = "prompt_wav"
    if isinstance(wav, (str, Path)):
        wav, fs, _ = read_audio(wav, name)
    elif fs is None:
        raise InputError("prompt_wav: samples have no rate; give prompt_fs in Hz")
    else:
        check_types("", dict(prompt_fs=float), dict(prompt_fs=fs))
        in_range("", "prompt_fs", fs, LEAST_RATE, MOST_RATE)
    tokenizer = synthesizer.tokenizer
    ids = synthesizer.encode(text, "prompt_text")
    found = tokenizer.encode_batch([wav], int(fs), [name], return_ctc=tokenizer.has_ctc)
    tokens = found[0][0] if tokenizer.has_ctc else found[0]
    most = synthesizer.max_frames // 2
    if len(tokens) > most:
        raise InputError(
            f"prompt_wav has {len(tokens) / tokenizer.rate_hz:.1f} s, more than half "
            f"of what the model holds; give at most {most / tokenizer.rate_hz:.1f} s"
        )
    check_rate(len(tokens), synthesizer.duration.total(ids), tokenizer.rate_hz)
    durations = to_frames(synthesizer.duration.predict(ids), total=len(tokens))
    if tokenizer.has_ctc:
        log_probs = found[1][0]
        heard = synthesizer.heard_symbols(text)
        if check:
            check_transcript(log_probs, heard)
        if len(heard) == len(ids) and frames_needed(torch.from_numpy(heard)) <= len(
            log_probs
        ):
            durations = ctc_align(log_probs, torch.from_numpy(heard) + 1).numpy()
    known = synthesizer.text_tokenizer.token_list
    edge = synthesizer.text_tokenizer.edge_symbol
    joint = next((known.index(s) for s in (SPACE, edge) if s in known), None)
    kappa = synthesizer.duration.kappa(ids, len(tokens))
    sound = synthesizer.chain.prompt(tokens, np.asarray(wav), int(fs))
    return Prompt(tokens, ids, durations, kappa, edge is not None, joint, sound)


def check_rate(frames: int, predicted: float, rate_hz: float) -> None:
    """Refuse a transcript that nobody could speak in the prompt's time.

    Args:
        frames: Of the prompt.
        predicted: For its transcript.
        rate_hz: Frames a second.
    """
    low, high = RATE_RANGE
    if not low <= frames / predicted <= high:
        kind = "too short" if frames < predicted else "too long"
        raise InputError(
            f"prompt_wav of {frames / rate_hz:.1f} s is {kind} for its transcript, "
            f"which takes about {predicted / rate_hz:.1f} s; give prompt_text all that "
            "is said in it and nothing else, and cut long silence off"
        )


def check_transcript(log_probs: torch.Tensor, ids: np.ndarray, seed: int = 0) -> None:
    """Refuse a transcript that the recognition head does not hear.

    Heard in the recording, a transcript is far likelier than its symbols in any other
    order; in noise, or in other words, it is not. So no threshold on the likelihood is
    needed, which depends on how well the head was trained.

    Args:
        log_probs: Of the recording (T, V + 1), the blank first.
        ids: Symbol ids of its transcript (S,); the first and last stay in place.
        seed: Of the orders.

    Raises:
        InputError: If it is not better than the mean of shuffled ones by
            `LEAST_SIGMAS` standard deviations.
    """
    if transcript_sigmas(log_probs, ids, seed) < LEAST_SIGMAS:
        raise InputError(
            "prompt_text is not what is heard in prompt_wav, or that is no clear "
            "speech; correct the transcript or take another recording"
        )


def transcript_sigmas(log_probs: torch.Tensor, ids: np.ndarray, seed: int = 0) -> float:
    """How far the transcript's score lies above those of shuffled ones, in their
    standard deviations; see `check_transcript`."""
    rng = np.random.default_rng(seed)
    texts = [np.asarray(ids)]
    for _ in range(NUM_SHUFFLED):
        texts.append(np.concatenate([ids[:1], rng.permutation(ids[1:-1]), ids[-1:]]))
    true, *others = ctc_scores([log_probs] * len(texts), texts)
    others = np.array([score for score in others if np.isfinite(score)])
    if not np.isfinite(true) or len(others) < 2:
        return -np.inf
    return float((true - others.mean()) / max(others.std(), 1e-9))
