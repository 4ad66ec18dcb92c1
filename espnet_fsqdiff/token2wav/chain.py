"""Tokens to waves: a mel maker and a vocoder that fit."""

from typing import (
    Any,
    Callable,
    Dict,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Union,
)

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_fsqdiff.data.audio import resample
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.model_size import model_size
from espnet_fsqdiff.token2wav.mel import check_same_mel, log_mel
from espnet_fsqdiff.token2wav.mel_decoder import MelMaker
from espnet_fsqdiff.token2wav.vocoder import Vocoder

Tokens = Union[np.ndarray, torch.Tensor]


class Sound(NamedTuple):
    """What an utterance sounds like.

    Attributes:
        mel: Log-mel (F, n_mels), float32, on the CPU.
        wave: (L,), float32, on the CPU.
    """

    mel: torch.Tensor
    wave: torch.Tensor


class SoundPrompt(NamedTuple):
    """Speech that utterances go on from.

    Attributes:
        tokens: Its tokens (P,), int64.
        mel: Its log-mel (P * frames_per_token, n_mels), for mel makers that take
            prompts; else None.
    """

    tokens: torch.Tensor
    mel: Optional[torch.Tensor] = None


class Chain(Protocol):
    """From tokens to sound; what `Synthesizer` asks of `TokenToWave` and the like.

    Attributes:
        fs: Sampling rate of the waves in Hz.
        num_codes: Codebook size K.
        max_tokens: Most tokens of an utterance, its prompt's among them; None for any
            number.
    """

    fs: int
    num_codes: int
    max_tokens: Optional[int]

    def prompt(self, tokens: Tokens, wav: np.ndarray, fs: int) -> object:
        """What `__call__` takes for a prompt of these tokens and this wave."""

    def __call__(
        self,
        tokens: Sequence[Tokens],
        prompts: Optional[Sequence[object]] = None,
        seeds: Optional[Sequence[int]] = None,
        spk_embeds: Optional[Sequence[torch.Tensor]] = None,
    ) -> Sequence[Sound]:
        """The sound of several utterances, each after its prompt if there are any, in
        the voice of its speaker embedding where such are taken."""


def by_name(
    make: Callable[..., Sequence],
    names: Sequence[str],
    tokens: Sequence[Tokens],
    **others: Optional[Sequence[Any]],
) -> Sequence:
    """Call a chain on a batch; a fault names its utterance.

    Args:
        make: A `Chain`, or its `mels`.
        names: Of the utterances.
        tokens: (T,) of each.
        **others: Its further arguments, one for each utterance or None.

    Returns:
        What `make` returns.

    Raises:
        InputError: What `make` raises, of the first utterance that fails alone; of
            the batch if each passes.
    """
    try:
        return make(tokens, **others)
    except InputError:
        for i, name in enumerate(names):
            own = {k: rows and [rows[i]] for k, rows in others.items()}
            try:
                make([tokens[i]], **own)
            except InputError as e:
                raise InputError(f"{name}: {e}") from None
        raise


class TokenToWave:
    """Tokens -> mel -> wave.

    Args:
        mel_maker: See `MelMaker`.
        vocoder: See `Vocoder`, made for the mels of the mel maker.
        spk_embed: Embedding (D,) of the speaker of all that is spoken, for mel makers
            of several.

    Raises:
        InputError: If the vocoder was made for other mels.
    """

    def __init__(
        self,
        mel_maker: MelMaker,
        vocoder: Vocoder,
        spk_embed: Optional[torch.Tensor] = None,
    ):
        check_same_mel(mel_maker.mel, vocoder.mel)
        self.mel_maker = mel_maker
        self.vocoder = vocoder
        self.spk_embed = spk_embed

    @property
    def fs(self) -> int:
        """Sampling rate of the waves in Hz."""
        return self.vocoder.fs

    @property
    def num_codes(self) -> int:
        """Codebook size K."""
        return self.mel_maker.num_codes

    @property
    def size(self) -> Dict[str, int]:
        """Weights of mel maker and vocoder, see `model_size`."""
        return model_size(self.mel_maker.network, self.vocoder)

    @property
    def max_tokens(self) -> Optional[int]:
        """Most tokens of an utterance, its prompt's among them; None for any number."""
        most = self.mel_maker.max_frames
        return None if most is None else most // self.mel_maker.frames_per_token

    def prompt(self, tokens: Tokens, wav: np.ndarray, fs: int) -> SoundPrompt:
        """Speech to go on from.

        Args:
            tokens: Its tokens (P,).
            wav: The wave (L,) that they were made of.
            fs: Its sampling rate in Hz, any.
        """
        tokens = torch.as_tensor(tokens).long()
        if not self.mel_maker.takes_prompts:
            return SoundPrompt(tokens)
        parameters = self.mel_maker.mel
        wav = resample(np.asarray(wav, dtype=np.float32), fs, parameters["fs"])
        mel = log_mel(wav, parameters)
        # The tokenizer rounds to whole tokens.
        frames = len(tokens) * self.mel_maker.frames_per_token
        missing = max(0, frames - len(mel))
        return SoundPrompt(
            tokens, torch.cat([mel, mel[-1:].expand(missing, -1)])[:frames]
        )

    def mels(
        self,
        tokens: Sequence[Tokens],
        prompts: Optional[Sequence[SoundPrompt]] = None,
        seeds: Optional[Sequence[int]] = None,
        spk_embeds: Optional[Sequence[torch.Tensor]] = None,
    ) -> Sequence[torch.Tensor]:
        """Log-mels (T * frames_per_token, n_mels), float32, on the CPU, of each.

        Arguments as of `__call__`.
        """
        if not tokens:
            return []
        rows = [torch.as_tensor(row).long().cpu() for row in tokens]
        if any(len(row) == 0 for row in rows):
            raise InputError("an utterance without tokens makes no sound")
        options, before = {}, [0] * len(rows)
        if prompts is not None:
            before = [len(prompt.tokens) for prompt in prompts]
            pairs = zip(prompts, rows, strict=True)
            rows = [torch.cat([prompt.tokens, row]) for prompt, row in pairs]
            if self.mel_maker.takes_prompts:
                options["prompt_mel"] = [prompt.mel for prompt in prompts]
        if spk_embeds is None and self.spk_embed is not None:
            spk_embeds = [self.spk_embed] * len(rows)
        if spk_embeds is not None:
            options["spk_embed"] = spk_embeds
        lengths = torch.tensor([len(row) for row in rows])
        made = self.mel_maker(
            pad_sequence(rows, batch_first=True), lengths, seeds=seeds, **options
        )
        n = self.mel_maker.frames_per_token
        return [
            mel[start * n : length * n].float().cpu()
            for mel, start, length in zip(made, before, lengths.tolist(), strict=True)
        ]

    def __call__(
        self,
        tokens: Sequence[Tokens],
        prompts: Optional[Sequence[SoundPrompt]] = None,
        seeds: Optional[Sequence[int]] = None,
        spk_embeds: Optional[Sequence[torch.Tensor]] = None,
    ) -> Sequence[Sound]:
        """The sound of several utterances; each gets what it would get alone.

        Args:
            tokens: (T,), int64, of each.
            prompts: Speech that each goes on from, as `prompt` makes it, one for each:
                they sound as they follow it, and it is not in what is returned.
            seeds: Of what is random, one for each.
            spk_embeds: Speaker embedding (D,) of each, for mel makers of several
                speakers; by default that of the chain.

        Raises:
            InputError: If an utterance has no tokens, or such as the mel maker does
                not know, or too many; if speaker embeddings are missing or not wanted.
        """
        mels = self.mels(tokens, prompts, seeds, spk_embeds)
        waves = self.vocoder.batch(mels)
        return [Sound(*pair) for pair in zip(mels, waves, strict=True)]
