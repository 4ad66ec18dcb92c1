"""Speaking single utterances with trained models: what `Text2Speech` stands on."""

import logging
import time
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import numpy as np
import torch

from espnet_fsqdiff.chain_options import CHAIN_OPTIONS
from espnet_fsqdiff.duration import AbsDuration, load_duration, to_frames
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.manner import Manner, Plan, make_sampling
from espnet_fsqdiff.onnx.backend import check_backend
from espnet_fsqdiff.option_types import check_types
from espnet_fsqdiff.takes import choose_takes
from espnet_fsqdiff.text.normalize import build_normalizer
from espnet_fsqdiff.text.tokenizer import TextTokenizer
from espnet_fsqdiff.text_to_token import Spoken, TextToToken
from espnet_fsqdiff.token2wav import Chain, load_chain
from espnet_fsqdiff.tokenizer import SpeechTokenizer, load_tokenizer

# Where the model finds its place in the text by itself.
WITHOUT_DURATIONS = ("filler", "prefix")

MARKS = ".,?!;:"
# Seeds of the takes of a text are this far apart.
TAKE_STEP = 1_000_003


class Synthesizer:
    """Utterance -> durations -> diffusion or language model -> tokens -> chain -> wave.

    Args:
        model: ESPnet model that makes tokens from text, in eval mode.
        text_tokenizer: Text to symbol ids.
        text_expansion: How the model lays text over frames.
        duration: Predicts frames per symbol.
        tokenizer: Reads prompts, and judges takes by what it recognises.
        chain: Makes tokens audible; by default the tokenizer's own.
        speed: Rate of speech; 2 is twice as fast.
        seed: Of what is random, together with the text.
        compile: Whether to compile the backbone (`torch.compile`): the first
            call takes a minute, later ones less than without.
        normalizer: `spoken_english` to write numbers and the like as words before
            the text tokenizer sees the text; None for nothing.
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
        chain: Optional[Chain] = None,
        speed: float = 1.0,
        seed: int = 0,
        compile: bool = False,
        normalizer: Optional[str] = None,
        **sampling,
    ):
        if tokenizer.num_codes != model.codebook.num_codes:
            raise InputError(
                f"the tokenizer has {tokenizer.num_codes} codes, the model "
                f"{model.codebook.num_codes}; give the tokenizer it was trained with"
            )
        check_types(
            "",
            {"the speed": float, "the seed": int, "compile": bool},
            {"the speed": speed, "the seed": seed, "compile": compile},
        )
        self.model = model
        self.normalize = build_normalizer(normalizer)
        symbols = text_tokenizer.token_list or ()
        self._adds_stop = normalizer is not None and "." in symbols
        self.text_tokenizer = text_tokenizer
        self.text_expansion = text_expansion
        self.duration = duration
        self.tokenizer = tokenizer
        self.chain = tokenizer.chain if chain is None else chain
        if self.chain.num_codes != model.codebook.num_codes:
            raise InputError(
                f"what makes tokens audible has {self.chain.num_codes} codes, the "
                f"model {model.codebook.num_codes}; give what was trained with its "
                "tokenizer"
            )
        self.speed = speed
        self.seed = seed
        self.sampling = make_sampling(model.sampling_class, sampling)
        if normalizer is not None:
            # The words are right; marks the model does not know give way.
            text_tokenizer.fit_marks = True
            if tokenizer.text_tokenizer is not None:
                tokenizer.text_tokenizer.fit_marks = True
        if compile:
            model.compile_network()

    @classmethod
    def from_files(
        cls,
        train_config: Union[str, Path],
        model_file: Union[str, Path],
        tokenizer_config: Optional[Union[str, Path]],
        tokenizer_file: Union[str, Path],
        duration_file: Union[str, Path],
        device: str = "cpu",
        backend: str = "torch",
        onnx_dir: Optional[Union[str, Path]] = None,
        **options,
    ) -> "Synthesizer":
        """Load what the recipe trained.

        Args:
            train_config: config.yaml of the diffusion decoder or language model.
            model_file: Its weights.
            tokenizer_config: config.yaml of the speech tokenizer; None for CosyVoice
                2's.
            tokenizer_file: Its weights; or CosyVoice 2's `speech_tokenizer_v2.onnx`.
            duration_file: duration.yaml.
            device: Where to run.
            backend: What computes: `torch`, or `onnx`, onnxruntime on the CPU.
            onnx_dir: Where `bin.export_onnx` wrote, for backend onnx.
            **options: `CHAIN_OPTIONS`, what makes tokens audible, see
                `token2wav.load_chain`; further arguments of the class.

        Raises:
            InputError: If a file is missing or they do not belong together.
        """
        from espnet_fsqdiff.tasks.building import model_of
        from espnet_fsqdiff.tasks.common import build_text_tokenizer, load_model
        from espnet_fsqdiff.tasks.decoders import decoder_task

        check_backend(backend, device, onnx_dir)
        task = decoder_task(train_config)
        model, args = load_model(task, train_config, model_file, device)
        tokenizer = load_tokenizer(tokenizer_config, tokenizer_file, device)
        if backend == "onnx":
            from espnet_fsqdiff.onnx.runtime import digests, use_onnx

            lays_text = args.text_expansion not in WITHOUT_DURATIONS
            sources = digests(model_file=model_file, tokenizer_file=tokenizer_file)
            use_onnx(model, tokenizer, lays_text, onnx_dir, sources)
        parts = {name: options.pop(name, None) for name in CHAIN_OPTIONS}
        with model_of(train_config):
            text_tokenizer = build_text_tokenizer(args)
        return cls(
            model,
            text_tokenizer,
            args.text_expansion,
            load_duration(duration_file, args.token_list),
            tokenizer,
            load_chain(tokenizer.mel_decoder, device=device, **parts),
            **options,
        )

    @property
    def fs(self) -> int:
        """Sampling rate of the waves in Hz."""
        return self.chain.fs

    @property
    def max_frames(self) -> int:
        """Most speech tokens of an utterance, its prompt's among them."""
        limits = (self.model.max_frames, self.chain.max_tokens)
        return min(limit for limit in limits if limit is not None)

    @property
    def manner(self) -> Manner:
        """How it speaks unless told otherwise."""
        return Manner(self.speed, self.seed, self.sampling)

    def speak(
        self,
        texts: Sequence[str],
        utt_ids: Optional[Sequence[str]] = None,
        manner: Optional[Manner] = None,
    ) -> List[Dict[str, Any]]:
        """Speak several utterances at once; each sounds as it would alone.

        Args:
            texts: What to say, each no longer than the model holds.
            utt_ids: Names, for messages.
            manner: How; `self.manner` by default.

        Returns:
            For each text a dict with `wav` (L,) float32, `fs`, `tokens` (T,)
            int64, `complete`, False if a language model did not stop,
            `durations` (S,) int64 or None, `feat_gen`, the log-mel
            (F, n_mels), `rtf`, the batch's seconds of work per second of
            speech, and `rtf_sampling`, those of making the tokens alone; with
            several takes also `scores`, one of each.

        Raises:
            InputError: If a text cannot be spoken.
        """
        utt_ids = utt_ids or [f"text {i}" for i in range(len(texts))]
        manner = manner or self.manner
        start = time.perf_counter()
        plans = [
            self._plan(text, name, manner, take=take)
            for text, name in zip(texts, utt_ids)
            for take in range(manner.num_takes)
        ]
        sampled = self._sample(plans, self.model.speak, manner)
        scores = None
        if manner.num_takes > 1:
            plans, sampled, scores = choose_takes(self, plans, sampled, manner)
        sampling = time.perf_counter() - start
        sounds = self.chain(
            [spoken.tokens for spoken in sampled],
            None if manner.prompt is None else manner.prompt.sound,
            [plan.seed for plan in plans],
        )
        results = []
        for plan, name, (tokens, complete), sound in zip(
            plans, utt_ids, sampled, sounds, strict=True
        ):
            if not complete:
                logging.warning(
                    f"{name}: no end within {len(tokens)} tokens, its speech is cut "
                    "off; train the model longer or raise max_ratio"
                )
            results.append(
                dict(
                    wav=sound.wave,
                    fs=self.fs,
                    tokens=tokens,
                    complete=complete,
                    durations=plan.own_durations,
                    feat_gen=sound.mel,
                )
            )
        for result, of_takes in zip(results, scores or ()):
            result["scores"] = of_takes
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
        plans, manner = [], self.manner
        for i, (text, name) in enumerate(zip(texts, utt_ids)):
            plan = self._plan(text, name, manner, int(num_tokens[i]))
            if durations is not None and self.text_expansion == "alignment":
                laid = np.asarray(durations[i])
                if len(laid) != len(plan.ids) or laid.sum() != plan.num_frames:
                    raise InputError(
                        f"{name}: its durations do not fit its text and tokens; "
                        "extract the tokens again"
                    )
                plan = plan._replace(durations=laid)
            plans.append(plan)
        return self._sample(plans, self.model.generate, manner)

    def encode(self, text: str, name: str = "text") -> np.ndarray:
        """A written text to symbol ids (S,), normalised if the voice wants it so.

        Raises:
            InputError: If it cannot be spoken.
        """
        words = self.spoken(text, name)
        return self.text_tokenizer.encode(words, utt_id=name)

    def spoken(self, text: str, name: str = "text") -> str:
        """A written text as it is spoken, if the voice has a normaliser.

        It then also gets a stop at its end if it has no mark there, as sentences have
        that models are trained on: short words come out clearer.

        Raises:
            InputError: If nothing in it can be spoken.
        """
        try:
            words = self.normalize(text)
        except InputError as e:
            raise InputError(f"{name}: {e}") from None
        if text.strip() and not words:
            raise InputError(
                f"{name}: {text[:60]!r} has nothing to speak; write what is to be said"
            )
        if self._adds_stop and words[-1:] not in MARKS:
            words += "."
        return words

    def sounds(self, text: str) -> bool:
        """Whether there is anything in a text that `speak` would not pass over."""
        try:
            return bool(self.normalize(text).strip())
        except InputError:
            return True  # `speak` names what cannot be spoken

    def heard_symbols(self, text: str) -> np.ndarray:
        """A text to the symbol ids (S,) of the tokenizer's recognition head."""
        return self.tokenizer.text_tokenizer.encode(self.spoken(text))

    def holds(
        self, text: str, manner: Optional[Manner] = None, name: str = "text"
    ) -> bool:
        """Whether the model can speak a text at once; for `text.sentences.split_text`.

        Raises:
            InputError: If the text cannot be spoken.
        """
        manner = manner or self.manner
        laid = self._lay(self.encode(text, name), manner)
        prompt = 0 if manner.prompt is None else manner.prompt.num_frames
        return prompt + int(laid.sum()) <= self.max_frames

    def _lay(
        self, ids: np.ndarray, manner: Manner, total: Optional[int] = None
    ) -> np.ndarray:
        """Whole frames of each symbol (S,), int64."""
        predicted = self.duration.predict(ids)
        if manner.prompt is not None:
            predicted = predicted * manner.prompt.kappa
        return to_frames(predicted, total=total, speed=manner.speed)

    def _plan(
        self,
        text: str,
        name: str,
        manner: Manner,
        total: Optional[int] = None,
        take: int = 0,
    ) -> Plan:
        ids = self.encode(text, name)
        try:
            own = laid = self._lay(ids, manner, total)
            if manner.prompt is not None:
                ids, laid, own = manner.prompt.before(ids, laid)
            frames = int(laid.sum())
            if self.text_expansion == "uniform":
                laid = to_frames(np.ones(len(ids)), total=frames)
                own = laid if manner.prompt is None else own
        except InputError as e:
            raise InputError(f"{name}: {e}") from None
        if frames > self.max_frames:
            raise InputError(
                f"{name}: its text takes {frames} frames, the model holds "
                f"{self.max_frames}; split the text"
            )
        # The text decides the noise, wherever in a batch it stands.
        seed = manner.seed + zlib.crc32(text.encode()) + take * TAKE_STEP
        if not self._lays_text:
            laid = own = None
        return Plan(text, ids, seed, frames, laid, own)

    @property
    def _lays_text(self) -> bool:
        return self.text_expansion not in WITHOUT_DURATIONS

    def _sample(
        self, plans: Sequence[Plan], how: Callable[..., List], manner: Manner
    ) -> List[Union[torch.Tensor, Spoken]]:
        """What `model.generate` or `model.speak` gives."""
        durations, options = None, {}
        if self._lays_text:
            durations = [torch.from_numpy(plan.durations) for plan in plans]
        if manner.prompt is not None:
            options["prompts"] = [manner.prompt.tokens] * len(plans)
        return how(
            [torch.from_numpy(plan.ids) for plan in plans],
            [plan.num_frames for plan in plans],
            durations,
            seeds=[plan.seed for plan in plans],
            sampling=manner.sampling,
            **options,
        )
