"""CosyVoice 2's token-to-wave, through the user's own `cosyvoice` package.

`cosyvoice` is the package in FunAudioLLM's repository CosyVoice, which is not on PyPI:
that repository and its `third_party/Matcha-TTS` have to be on the PYTHONPATH. What is
called there, as in its `cosyvoice/cli/{cosyvoice,frontend,model}.py` from CosyVoice 2's
release (December 2024) on:

    CosyVoice2(model_dir, load_jit=False, load_trt=False, fp16=False)
        .sample_rate, .frontend, .model
    frontend.frontend_vc(source, prompt, sample_rate)
        -> flow_prompt_speech_token (1, P), prompt_speech_feat (1, F, 80),
           flow_embedding (1, 192)
    model.flow.inference(token=, token_len=, prompt_token=, prompt_token_len=,
                         prompt_feat=, prompt_feat_len=, embedding=, finalize=True)
        -> mel (1, 80, F), cache
    model.hift.inference(speech_feat=, cache_source=) -> wave (1, L), source

Of two changes since we know: `frontend_vc` takes the prompt as samples at 16 kHz
(`prompt_speech_16k`) or as a file (`prompt_wav`), and `flow.inference` later got
`streaming=`. Both are told apart by the names of their parameters. Nothing of it has
been run here with the real weights.
"""

import inspect
import tempfile
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence, Union

import numpy as np
import torch

from espnet_fsqdiff.data.audio import load_audio, resample
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav.chain import Sound, Tokens
from espnet_fsqdiff.token2wav.external import require

NAME = "vocoder cosyvoice2"
PROMPT_FS = 16000


class CosyVoice2Prompt(NamedTuple):
    """A voice to speak in, as `frontend_vc` gives it.

    Attributes:
        tokens: (1, P).
        mel: (1, F, 80).
        embedding: (1, D).
    """

    tokens: torch.Tensor
    mel: torch.Tensor
    embedding: torch.Tensor


class CosyVoice2TokenToWave:
    """Tokens of CosyVoice 2's tokenizer to waves at 24 kHz; a `token2wav.Chain`.

    Args:
        cosyvoice: A `CosyVoice2` of the user's package.
        voice: In which it speaks unless there is another prompt.
        seed: Of the flow's noise, for utterances without a seed.
    """

    num_codes = 3**8
    max_tokens = None

    def __init__(
        self, cosyvoice: Any, voice: Optional[CosyVoice2Prompt] = None, seed: int = 0
    ):
        self.cosyvoice = cosyvoice
        self.fs = int(cosyvoice.sample_rate)
        self.voice = voice
        self.seed = seed

    @classmethod
    def from_directory(
        cls,
        model_dir: Union[str, Path],
        prompt_wav: Optional[Union[str, Path]] = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> "CosyVoice2TokenToWave":
        """Load the released model.

        Args:
            model_dir: Directory of `CosyVoice2-0.5B`.
            prompt_wav: Speech of the voice to speak in, up to 30 s; without it every
                utterance needs a prompt.
            seed: Of what is random.
            device: `cosyvoice` decides by itself: a GPU if there is one. So `cpu` is
                refused where torch sees a GPU, and the reverse.

        Raises:
            InputError: If `cosyvoice` or the model is not there.
        """
        require(
            "cosyvoice",
            NAME,
            "clone github.com/FunAudioLLM/CosyVoice and put it on the PYTHONPATH",
        )
        if not Path(model_dir).is_dir():
            raise InputError(f"{NAME}: {model_dir}: no such directory")
        if (torch.device(device).type == "cuda") != torch.cuda.is_available():
            raise InputError(
                f"{NAME} runs on a GPU if torch sees one and else on the CPU, not on "
                f"{device}; hide the GPUs (CUDA_VISIBLE_DEVICES=) or give another"
            )
        from cosyvoice.cli.cosyvoice import CosyVoice2

        made = CosyVoice2(str(model_dir), load_jit=False, load_trt=False, fp16=False)
        chain = cls(made, seed=seed)
        if prompt_wav is not None:
            wav = load_audio(prompt_wav, PROMPT_FS, "prompt_wav")
            chain.voice = chain._hear(wav)
        return chain

    def prompt(self, tokens: Tokens, wav: np.ndarray, fs: int) -> CosyVoice2Prompt:
        """A voice to speak in; its tokens are taken as they are given.

        Args:
            tokens: Its tokens (P,).
            wav: The wave (L,) that they were made of.
            fs: Its sampling rate in Hz, any.
        """
        heard = self._hear(resample(np.asarray(wav, dtype=np.float32), fs, PROMPT_FS))
        rows = torch.as_tensor(tokens).int()[None]
        return heard._replace(tokens=rows)

    def _hear(self, wav: np.ndarray) -> CosyVoice2Prompt:
        """What the front end makes of a wave (L,) at 16 kHz."""
        front = self.cosyvoice.frontend.frontend_vc
        if "prompt_wav" in inspect.signature(front).parameters:
            import soundfile

            with tempfile.TemporaryDirectory() as tmp:
                path = f"{tmp}/prompt.wav"
                soundfile.write(path, wav, PROMPT_FS, subtype="FLOAT")
                found = front(path, path, self.fs)
        else:
            samples = torch.from_numpy(wav)[None]
            found = front(samples, samples, self.fs)
        return CosyVoice2Prompt(
            found["flow_prompt_speech_token"],
            found["prompt_speech_feat"],
            found["flow_embedding"],
        )

    @torch.no_grad()
    def __call__(
        self,
        tokens: Sequence[Tokens],
        prompts: Optional[Sequence[CosyVoice2Prompt]] = None,
        seeds: Optional[Sequence[int]] = None,
        spk_embeds: Optional[Sequence[torch.Tensor]] = None,
    ) -> Sequence[Sound]:
        """The sound of several utterances, one after the other.

        Args:
            tokens: (T,) of each.
            prompts: Voice of each to speak in; `voice` by default.
            seeds: Of the flow's noise, one for each.
            spk_embeds: None: it makes its own of the voice.

        Returns:
            Mels (F, 80), natural logarithms, not base 10; and waves.

        Raises:
            InputError: If there is no voice, or there are speaker embeddings.
        """
        if spk_embeds is not None:
            raise InputError(
                f"{NAME} makes speaker embeddings of its own; leave --spk_embeds out"
            )
        voices = [self.voice] * len(tokens) if prompts is None else prompts
        if any(voice is None for voice in voices):
            raise InputError(
                f"{NAME} speaks in the voice of a recording; give prompt_wav in "
                "vocoder_conf, or a prompt"
            )
        seeds = [self.seed] * len(tokens) if seeds is None else seeds
        rows = zip(tokens, seeds, voices, strict=True)
        return [self._speak(*row) for row in rows]

    def _speak(self, tokens: Tokens, seed: int, voice: CosyVoice2Prompt) -> Sound:
        model = self.cosyvoice.model
        device = getattr(model, "device", "cpu")
        options: Dict[str, Any] = {"finalize": True}
        if "streaming" in inspect.signature(model.flow.inference).parameters:
            options["streaming"] = False
        rows = dict(
            token=torch.as_tensor(tokens).int()[None],
            prompt_token=voice.tokens.int(),
            prompt_feat=voice.mel,
        )
        for name, value in rows.items():
            options[name] = value.to(device)
            size = torch.tensor([value.shape[1]], dtype=torch.int32)
            options[f"{name}_len"] = size.to(device)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            mel, _ = model.flow.inference(
                embedding=voice.embedding.to(device), **options
            )
            wave, _ = model.hift.inference(
                speech_feat=mel, cache_source=torch.zeros(1, 1, 0, device=device)
            )
        return Sound(mel[0].T.float().cpu(), wave.flatten().float().cpu())
