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
from espnet_fsqdiff.manner import Manner, Plan, make_sampling, prompts_of
from espnet_fsqdiff.onnx.backend import check_backend
from espnet_fsqdiff.option_types import check_types
from espnet_fsqdiff.prompting import Prompt
from espnet_fsqdiff.takes import choose_takes
from espnet_fsqdiff.text.reader import TextReader
from espnet_fsqdiff.text.tokenizer import TextTokenizer
from espnet_fsqdiff.text_to_token import Spoken, TextToToken
from espnet_fsqdiff.token2wav import Chain, by_name, load_chain
from espnet_fsqdiff.tokenizer import SpeechTokenizer, load_tokenizer

# Where the model finds its place in the text by itself.
WITHOUT_DURATIONS = ("filler", "prefix")

# Seeds of the takes of a text are this far apart.
TAKE_STEP = 1_000_003


class Synthesizer(TextReader):
    """Utterance -> durations -> diffusion or language model -> tokens -> chain -> wave.

    Args:
        model: ESPnet model that makes tokens from text, in eval mode.
        text_tokenizer: Text to symbol ids.
        text_expansion: How the model lays text over frames.
        duration: Predicts frames per symbol.
        tokenizer: Reads prompts, and judges takes by what it recognises.
        chain: Makes tokens audible; by default the tokenizer's own.
        speed: Rate of speech; 2 is twice as fast, as far as a frame for each symbol
            allows it.
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

    _said_speed = False  # that a text cannot be spoken as fast as asked for

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
        super().__init__(text_tokenizer, tokenizer.text_tokenizer, normalizer)
        self.model = model
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
        prompts: Optional[Sequence[Prompt]] = None,
        spk_embeds: Optional[Sequence[torch.Tensor]] = None,
    ) -> List[Dict[str, Any]]:
        """Speak several utterances at once; each sounds as it would alone.

        Args:
            texts: What to say, each no longer than the model holds.
            utt_ids: Names, for messages.
            manner: How; `self.manner` by default.
            prompts: What each goes on from, in place of the manner's prompt.
            spk_embeds: Speaker embedding (D,) of each, where what makes its tokens
                audible was trained with them.

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
            self._plan(text, name, own, take=take)
            for text, name, own in zip(
                texts, utt_ids, manner.with_prompts(prompts, len(texts)), strict=True
            )
            for take in range(manner.num_takes)
        ]
        sampled = self._sample(plans, self.model.speak, manner)
        scores = None
        if manner.num_takes > 1:
            plans, sampled, scores = choose_takes(self, plans, sampled, manner)
        sampling = time.perf_counter() - start
        sounds = by_name(
            self.chain,
            utt_ids,
            [spoken.tokens for spoken in sampled],
            prompts=prompts_of(plans, "sound"),
            seeds=[plan.seed for plan in plans],
            spk_embeds=spk_embeds,
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
        prompts: Optional[Sequence[Prompt]] = None,
    ) -> List[torch.Tensor]:
        """Sample with true lengths, to be compared with the true tokens.

        Args:
            texts: What was said.
            utt_ids: Names.
            num_tokens: True number of tokens of each.
            durations: True frames of each symbol, for models that see an
                alignment.
            prompts: What each goes on from.

        Returns:
            Tokens (num_tokens,), int64, of each.

        Raises:
            InputError: If a text does not fit its tokens or durations.
        """
        plans = []
        for i, manner in enumerate(self.manner.with_prompts(prompts, len(texts))):
            laid = None
            if durations is not None and self.text_expansion == "alignment":
                laid = np.asarray(durations[i])
            row = (texts[i], utt_ids[i], manner, int(num_tokens[i]))
            plans.append(self._plan(*row, laid=laid))
        return self._sample(plans, self.model.generate, self.manner)

    def holds(
        self, text: str, manner: Optional[Manner] = None, name: str = "text"
    ) -> bool:
        """Whether the model can speak a text at once; for `text.sentences.split_text`.

        Raises:
            InputError: If the text cannot be spoken.
        """
        manner = manner or self.manner
        laid = self._lay(self.encode(text, name), manner)
        before = 0
        if manner.prompt is not None:
            before = manner.prompt.num_frames + manner.prompt.lead
        return before + int(laid.sum()) <= self.max_frames

    def _lay(
        self, ids: np.ndarray, manner: Manner, total: Optional[int] = None
    ) -> np.ndarray:
        """Whole frames of each symbol (S,), int64."""
        predicted = self.duration.predict(ids)
        if manner.prompt is not None:
            predicted = predicted * manner.prompt.kappa
        laid = to_frames(predicted, total=total, speed=manner.speed)
        if total is None and self._lays_text and not self._said_speed:
            asked = predicted.sum() / manner.speed
            if laid.sum() > asked + 1:
                self._said_speed = True
                logging.warning(
                    f"a text takes {laid.sum()} frames and not {asked:.0f} as its "
                    "speed asks for: every symbol has at least one (said once)"
                )
        return laid

    def _plan(
        self,
        text: str,
        name: str,
        manner: Manner,
        total: Optional[int] = None,
        take: int = 0,
        laid: Optional[np.ndarray] = None,
    ) -> Plan:
        """What is to be sampled; `total` and `laid` are true frames where known."""
        ids = self.encode(text, name)
        if laid is not None and (len(laid) != len(ids) or laid.sum() != total):
            raise InputError(
                f"{name}: its durations do not fit its text and tokens; "
                "extract the tokens again"
            )
        try:
            if total is not None and manner.prompt is not None and manner.prompt.lead:
                # It goes to the space behind the prompt.
                total -= manner.prompt.lead
                laid = None if laid is None else to_frames(laid, total)
            own = laid = self._lay(ids, manner, total) if laid is None else laid
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
        return Plan(text, ids, seed, frames, laid, own, manner.prompt)

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
        prompts = prompts_of(plans, "tokens")
        if prompts is not None:
            options["prompts"] = prompts
        return how(
            [torch.from_numpy(plan.ids) for plan in plans],
            [plan.num_frames for plan in plans],
            durations,
            seeds=[plan.seed for plan in plans],
            sampling=manner.sampling,
            **options,
        )
