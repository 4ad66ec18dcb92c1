"""Text to speech for use from Python: voices, texts of any length, takes, prompts."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.joining import Part
from espnet_fsqdiff.kernel_cache import bound_kernel_cache
from espnet_fsqdiff.manner import Manner, make_sampling
from espnet_fsqdiff.option_types import check_types
from espnet_fsqdiff.pretrained import Voice, default_onnx_dir, load_options, voices
from espnet_fsqdiff.prompting import Wave, make_prompt
from espnet_fsqdiff.reading import check_aloud, read_aloud, stream_aloud
from espnet_fsqdiff.synthesis import Synthesizer

__all__ = ["Text2Speech", "Voice", "voices"]

_OWN = dict(batch_size=int, check_prompts=bool)


class Text2Speech(Synthesizer):
    """Text of any length to speech.

    `speak`, inherited, takes what the model can hold at once; the calls here cut
    texts into sentences, speak these in batches and join their waves.

    Args:
        batch_size: Sentences spoken at once.
        check_prompts: Whether the tokenizer's recognition head, if there is one, is
            asked if a prompt's transcript belongs to it.
        **parts: See `Synthesizer`.
    """

    def __init__(self, *args, batch_size: int = 8, check_prompts: bool = True, **parts):
        super().__init__(*args, **parts)
        check_types("", _OWN, dict(batch_size=batch_size, check_prompts=check_prompts))
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; give at least 1")
        self.batch_size = batch_size
        self.check_prompts = check_prompts

    @classmethod
    def from_pretrained(
        cls,
        path_or_tag: Union[str, Path],
        device: str = "cpu",
        backend: str = "torch",
        onnx_dir: Optional[Union[str, Path]] = None,
        **options,
    ) -> "Text2Speech":
        """Load a packed voice.

        Args:
            path_or_tag: A packed zip, the directory of an unpacked one, a name of
                `voices()`, or a tag `owner/name` of the Hugging Face Hub.
            device: Where to run.
            backend: What computes: `torch`, or `onnx`, onnxruntime on the CPU.
            onnx_dir: Where `bin.export_onnx` wrote, for backend onnx; by default
                where it writes by default, beside the voice's unpacked files.
            **options: Go before those in the pack: sampling (`num_steps`, ...),
                `speed`, `seed`, `batch_size`, `compile`; and what makes tokens
                audible, see `token2wav.load_chain`.

        Raises:
            InputError: If there is no such voice, or it is damaged, or has no such
                option.
        """
        bound_kernel_cache()
        loaded = load_options(path_or_tag, options)
        if backend == "onnx" and onnx_dir is None:
            onnx_dir = default_onnx_dir(loaded)
        try:
            return cls.from_files(
                device=device, backend=backend, onnx_dir=onnx_dir, **loaded
            )
        except InputError as e:
            raise InputError(f"{path_or_tag}: {e}") from e

    def __call__(
        self,
        text: str,
        prompt_wav: Optional[Wave] = None,
        prompt_text: Optional[str] = None,
        prompt_fs: Optional[int] = None,
        speed: float = 1.0,
        num_steps: Optional[int] = None,
        guidance_scale: Optional[float] = None,
        seed: Optional[int] = None,
        temperature: Optional[float] = None,
        num_takes: Optional[int] = None,
    ) -> Dict[str, Any]:
        """Speak a text of any length up to two hours; see `batch`."""
        return self._read(
            [text],
            ["text"],
            self._manner(
                prompt_wav,
                prompt_text,
                prompt_fs,
                speed,
                num_steps,
                guidance_scale,
                seed,
                temperature,
                num_takes,
            ),
        )[0]

    def batch(self, texts: Sequence[str], **options) -> List[Dict[str, Any]]:
        """Speak several texts; each sounds as it would alone.

        Args:
            texts: What to say.
            prompt_wav: Speech whose voice and pace to go on with: a file, or samples
                (L,). For models that were trained with prompts.
            prompt_text: What is said in it.
            prompt_fs: Rate of the samples in Hz, any.
            speed: Rate of speech; 2 is twice as fast as the voice's own, as far as
                a frame for each symbol allows it.
            num_steps: Steps of the sampler; those of the voice by default, as of
                all that follow.
            guidance_scale: How strongly the text guides.
            seed: Of what is random, together with the text.
            temperature: Divides the logits.
            num_takes: Draw several of each sentence and keep the best, see
                `espnet_fsqdiff.takes`.

        Returns:
            For each text a dict of

            * `wav` (L,) float32 within [-1, 1], and `fs`, its rate in Hz;
            * `tokens` (T,) int64, `duration` (S,) int64, frames of each symbol, or
              None where the model needs none, and `mel` (F, n_mels), the log-mel:
              of all sentences, without the pauses between them;
            * `sentences`: dicts of `text`, `start` and `end` in seconds;
            * `rtf` and `rtf_sampling`: seconds of work per second of speech, of the
              whole batch and of making its tokens;
            * `complete`: False if a language model came to no end;
            * `scores`, with several takes: of each sentence those of its takes.

            Arrays are tensors on the CPU.

        Raises:
            InputError: If a text cannot be spoken, or an option is not the model's.
        """
        if isinstance(texts, str):
            raise InputError("texts is one string; give a list of texts")
        names = [f"text {i}" for i in range(len(texts))]
        return self._read(texts, names, self._manner(**options)) if names else []

    def stream(self, lines: Union[str, Iterable[str]], **options) -> Iterator[Part]:
        """Speak a text of any length, as it comes, in constant memory.

        Args:
            lines: The text or its parts in order, such as an open file; a blank line
                ends a paragraph.
            **options: As in `batch`.

        Yields:
            `joining.Part`s: `samples` (L,) float32, and `piece`, the number of the
            sentence that sounds, None for a pause.
        """
        return stream_aloud(
            lines,
            fs=self.fs,
            batch_size=self.batch_size,
            **self._ways(self._manner(**options)),
        )

    def check_text(self, lines: Union[str, Iterable[str]], name: str) -> None:
        """Read a text of any length without speaking it, in constant memory.

        Args:
            lines: As `stream` takes them.
            name: Of the text, for messages.

        Raises:
            InputError: A sentence cannot be spoken; the message says which.
        """
        check_aloud(lines, name, self.encode, self.sounds)

    def _manner(
        self,
        prompt_wav: Optional[Wave] = None,
        prompt_text: Optional[str] = None,
        prompt_fs: Optional[int] = None,
        speed: float = 1.0,
        num_steps: Optional[int] = None,
        guidance_scale: Optional[float] = None,
        seed: Optional[int] = None,
        temperature: Optional[float] = None,
        num_takes: Optional[int] = None,
    ) -> Manner:
        """The manner of speaking that a call asks for."""
        check_types("", {"the speed": float}, {"the speed": speed})
        given = dict(
            num_steps=num_steps, guidance_scale=guidance_scale, temperature=temperature
        )
        given = {name: value for name, value in given.items() if value is not None}
        sampling = self.sampling
        if given:
            own = {
                field.name: getattr(sampling, field.name)
                for field in dataclasses.fields(sampling)
            }
            sampling = make_sampling(type(sampling), {**own, **given})
        prompt = None
        if prompt_wav is not None:
            prompt = make_prompt(
                self, prompt_wav, prompt_text, prompt_fs, self.check_prompts
            )
        elif prompt_text is not None:
            raise InputError("prompt_text without prompt_wav; give both or neither")
        return Manner(
            speed * self.speed,
            self.seed if seed is None else seed,
            sampling,
            prompt,
            1 if num_takes is None else num_takes,
        )

    def _read(
        self, texts: Sequence[str], names: Sequence[str], manner: Manner
    ) -> List[Dict[str, Any]]:
        return read_aloud(
            texts, names, fs=self.fs, batch_size=self.batch_size, **self._ways(manner)
        )

    def _ways(self, manner: Manner) -> Dict[str, Any]:
        """What `reading` asks of a synthesizer, in a manner."""
        return dict(
            holds=lambda text, name: self.holds(text, manner, name),
            sounds=self.sounds,
            speak=lambda texts, names: self.speak(texts, names, manner),
        )
