"""Text to speech with trained models, for use from Python."""

import dataclasses
import logging
import time
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Union

import numpy as np
import torch

from espnet_fsqdiff.duration import AbsDuration, load_duration, to_frames
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.text.tokenizer import TextTokenizer
from espnet_fsqdiff.text_to_token import Spoken, TextToToken
from espnet_fsqdiff.token2wav import Vocoder, build_vocoder
from espnet_fsqdiff.tokenizer import SpeechTokenizer

# Where the model finds its place in the text by itself.
WITHOUT_DURATIONS = ("filler", "prefix")


class _Plan(NamedTuple):
    """What is to be sampled for one text.

    Attributes:
        ids: Symbol ids (S,), int64.
        seed: Of what is random.
        num_frames: Speech frames T; a guess where the model decides.
        durations: Frames of each symbol (S,), or None.
    """

    ids: np.ndarray
    seed: int
    num_frames: int
    durations: Optional[np.ndarray]


class Text2Speech:
    """Text -> durations -> diffusion or language model -> tokens -> mel -> wave.

    Args:
        model: ESPnet model that makes tokens from text, in eval mode.
        text_tokenizer: Text to symbol ids.
        text_expansion: How the model lays text over frames.
        duration: Predicts frames per symbol.
        tokenizer: Decodes tokens to sound.
        speed: Rate of speech; 2 is twice as fast.
        seed: Of what is random, together with the text.
        compile: Whether to compile the backbone (`torch.compile`): the first
            call takes a minute, later ones less than without.
        **sampling: num_steps, guidance_scale, ...: those of
            `diffusion.Sampling`, or of `lm.LMSampling` for a language model.

    Raises:
        InputError: If tokenizer or options do not belong to the model.
    """

    def __init__(
        self,
        model: TextToToken,
        text_tokenizer: TextTokenizer,
        text_expansion: str,
        duration: AbsDuration,
        tokenizer: SpeechTokenizer,
        speed: float = 1.0,
        seed: int = 0,
        compile: bool = False,
        **sampling,
    ):
        if tokenizer.num_codes != model.codebook.num_codes:
            raise InputError(
                f"the tokenizer has {tokenizer.num_codes} codes, the model "
                f"{model.codebook.num_codes}; give the tokenizer it was trained with"
            )
        self.model = model
        self.text_tokenizer = text_tokenizer
        self.text_expansion = text_expansion
        self.duration = duration
        self.tokenizer = tokenizer
        self.speed = speed
        self.seed = seed
        self.sampling = make_sampling(model.sampling_class, sampling)
        if compile:
            model.compile_network()

    @classmethod
    def from_files(
        cls,
        train_config: Union[str, Path],
        model_file: Union[str, Path],
        tokenizer_config: Union[str, Path],
        tokenizer_file: Union[str, Path],
        duration_file: Union[str, Path],
        vocoder: str = "griffin_lim",
        vocoder_conf: Optional[Dict[str, Any]] = None,
        device: str = "cpu",
        **options,
    ) -> "Text2Speech":
        """Load what the recipe trained.

        Args:
            train_config: config.yaml of the diffusion decoder or language model.
            model_file: Its weights.
            tokenizer_config: config.yaml of the speech tokenizer.
            tokenizer_file: Its weights.
            duration_file: duration.yaml.
            vocoder: Name of the vocoder.
            vocoder_conf: Its options.
            device: Where to run.
            **options: Further arguments of the class.

        Raises:
            InputError: If a file is missing or they do not belong together.
        """
        from espnet_fsqdiff.tasks.common import build_text_tokenizer, load_model
        from espnet_fsqdiff.tasks.decoders import decoder_task

        task = decoder_task(train_config)
        model, args = load_model(task, train_config, model_file, device)
        tokenizer = SpeechTokenizer.from_pretrained(
            tokenizer_config, tokenizer_file, device=device
        )
        mel = tokenizer.model.feats_extract.get_parameters()
        tokenizer.vocoder = build_vocoder(vocoder, mel, vocoder_conf)
        return cls(
            model,
            build_text_tokenizer(args),
            args.text_expansion,
            load_duration(duration_file, args.token_list),
            tokenizer,
            **options,
        )

    @property
    def fs(self) -> int:
        """Sampling rate of the waves in Hz."""
        return self.vocoder.fs

    @property
    def vocoder(self) -> Vocoder:
        """What makes mels audible."""
        return self.tokenizer.vocoder

    def __call__(self, text: str, utt_id: str = "text") -> Dict[str, Any]:
        """Speak one text; see `batch`."""
        return self.batch([text], [utt_id])[0]

    def batch(
        self, texts: Sequence[str], utt_ids: Optional[Sequence[str]] = None
    ) -> List[Dict[str, Any]]:
        """Speak several texts; each sounds as it would alone.

        Args:
            texts: What to say.
            utt_ids: Names, for messages.

        Returns:
            For each text a dict with `wav` (L,) float32, `fs`, `tokens` (T,)
            int64, `complete`, False if a language model did not stop,
            `durations` (S,) int64 or None, `feat_gen`, the log-mel
            (F, n_mels), `rtf`, the batch's seconds of work per second of
            speech, and `rtf_sampling`, those of making the tokens alone.

        Raises:
            InputError: If a text cannot be spoken.
        """
        utt_ids = utt_ids or [f"text {i}" for i in range(len(texts))]
        start = time.perf_counter()
        plans = [self._plan(text, name) for text, name in zip(texts, utt_ids)]
        sampled = self._sample(plans, self.model.speak)
        sampling = time.perf_counter() - start
        results = []
        for plan, name, (tokens, complete) in zip(plans, utt_ids, sampled):
            if not complete:
                logging.warning(
                    f"{name}: no end within {len(tokens)} tokens, its speech is cut "
                    "off; train the model longer or raise max_ratio"
                )
            mel = self.tokenizer.decode_mel(tokens)
            wav = self.vocoder(mel)
            results.append(
                dict(
                    wav=wav,
                    fs=self.fs,
                    tokens=tokens,
                    complete=complete,
                    durations=plan.durations,
                    feat_gen=mel.cpu(),
                )
            )
        seconds = time.perf_counter() - start
        spoken = sum(r["wav"].numel() for r in results) / self.fs
        for result in results:
            result["rtf"] = seconds / spoken
            result["rtf_sampling"] = sampling / spoken
        return results

    def rollout(
        self,
        texts: Sequence[str],
        utt_ids: Sequence[str],
        num_tokens: Sequence[int],
        durations: Optional[Sequence[np.ndarray]] = None,
    ) -> List[torch.Tensor]:
        """Sample with true lengths, to be compared with the true tokens.

        Args:
            texts: What was said.
            utt_ids: Names.
            num_tokens: True number of tokens of each.
            durations: True frames of each symbol, for models that see an
                alignment.

        Returns:
            Tokens (num_tokens,), int64, of each.

        Raises:
            InputError: If a text does not fit its tokens or durations.
        """
        plans = []
        for i, (text, name) in enumerate(zip(texts, utt_ids)):
            plan = self._plan(text, name, int(num_tokens[i]))
            if durations is not None and self.text_expansion == "alignment":
                laid = np.asarray(durations[i])
                if len(laid) != len(plan.ids) or laid.sum() != plan.num_frames:
                    raise InputError(
                        f"{name}: its durations do not fit its text and tokens; "
                        "extract the tokens again"
                    )
                plan = plan._replace(durations=laid)
            plans.append(plan)
        return self._sample(plans, self.model.generate)

    def holds(self, text: str) -> bool:
        """Whether the model can speak a text at once; for `text.sentences.split_text`.

        Raises:
            InputError: If the text cannot be spoken.
        """
        predicted = self.duration.predict(self.text_tokenizer.encode(text))
        frames = int(to_frames(predicted, speed=self.speed).sum())
        return frames <= self.model.max_frames

    def _plan(self, text: str, name: str, total: Optional[int] = None) -> _Plan:
        ids = self.text_tokenizer.encode(text, utt_id=name)
        predicted = self.duration.predict(ids)
        try:
            laid = to_frames(predicted, total=total, speed=self.speed)
            frames = int(laid.sum())
            if self.text_expansion == "uniform":
                laid = to_frames(np.ones(len(ids)), total=frames)
        except InputError as e:
            raise InputError(f"{name}: {e}") from None
        if frames > self.model.max_frames:
            raise InputError(
                f"{name}: its text takes {frames} frames, the model holds "
                f"{self.model.max_frames}; split the text"
            )
        # The text decides the noise, wherever in a batch it stands.
        seed = self.seed + zlib.crc32(text.encode())
        return _Plan(ids, seed, frames, laid if self._lays_text else None)

    @property
    def _lays_text(self) -> bool:
        return self.text_expansion not in WITHOUT_DURATIONS

    def _sample(
        self, plans: Sequence[_Plan], how: Callable[..., List]
    ) -> List[Union[torch.Tensor, Spoken]]:
        """What `model.generate` or `model.speak` gives."""
        durations = None
        if self._lays_text:
            durations = [torch.from_numpy(plan.durations) for plan in plans]
        return how(
            [torch.from_numpy(plan.ids) for plan in plans],
            [plan.num_frames for plan in plans],
            durations,
            seeds=[plan.seed for plan in plans],
            sampling=self.sampling,
        )


def make_sampling(kind: type, options: Dict[str, Any]) -> Any:
    """An object of the dataclass `kind`.

    Raises:
        InputError: If it has no such option.
    """
    known = [field.name for field in dataclasses.fields(kind)]
    for name in options:
        if name not in known:
            raise InputError(
                f"{name} is no option of this model's sampling; it has "
                f"{', '.join(known)}"
            )
    return kind(**options)
