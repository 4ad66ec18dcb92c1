"""A trained speech tokenizer for use from Python."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_fsqdiff.data.audio import mono_wave, resample
from espnet_fsqdiff.text.tokenizer import TextTokenizer
from espnet_fsqdiff.token2wav import MelDecoder, TokenToWave, Vocoder, build_vocoder
from espnet_fsqdiff.tokenizer.model import SpeechTokenizerModel

if TYPE_CHECKING:
    from espnet_fsqdiff.token2wav.external.cosyvoice2_tokenizer import (
        CosyVoice2Tokenizer,
    )

Wave = Union[np.ndarray, torch.Tensor]


class SpeechTokenizer:
    """Waves to tokens and back.

    Args:
        model: The network, in eval mode.
        text_tokenizer: Turns text into the symbols of the recognition head;
            None if there is no such head.
        vocoder: Makes decoded mels audible; Griffin-Lim by default.

    Attributes:
        mel_decoder: Tokens to log-mels, by the network or another backend.
        fs: Sampling rate in Hz that the network works at.
        rate_hz: Tokens a second.
        num_codes: Codebook size K.
        has_ctc: Whether there is a recognition head.
    """

    def __init__(
        self,
        model: SpeechTokenizerModel,
        text_tokenizer: Optional[TextTokenizer] = None,
        vocoder: Optional[Vocoder] = None,
    ):
        self.model = model
        self.mel_decoder = MelDecoder(model)
        self.text_tokenizer = text_tokenizer
        self._vocoder = vocoder
        mel = model.feats_extract.get_parameters()
        self.fs = int(mel["fs"])
        self.rate_hz = self.fs / mel["n_shift"] / model.frames_per_token
        self.num_codes = model.quantizer.num_codes
        self.has_ctc = model.recognizer is not None

    @classmethod
    def from_pretrained(
        cls,
        train_config: Union[str, Path],
        model_file: Optional[Union[str, Path]] = None,
        vocoder: Optional[Vocoder] = None,
        device: str = "cpu",
    ) -> "SpeechTokenizer":
        """Load a tokenizer that the task trained.

        Args:
            train_config: Its config.yaml, or the directory that holds it.
            model_file: Its weights; by default those of `weights_beside`.
            vocoder: Griffin-Lim by default.
            device: Where to run.

        Raises:
            InputError: If a file is missing or the weights do not fit.
        """
        from espnet_fsqdiff.states import weights_beside
        from espnet_fsqdiff.tasks.building import model_of
        from espnet_fsqdiff.tasks.common import build_text_tokenizer, load_model
        from espnet_fsqdiff.tasks.fsq_tokenizer import FSQTokenizerBuilder

        train_config = Path(train_config)
        if train_config.is_dir():
            train_config = train_config / "config.yaml"
        if model_file is None:
            model_file = weights_beside(train_config)
        model, args = load_model(FSQTokenizerBuilder, train_config, model_file, device)
        with model_of(train_config):
            text_tokenizer = build_text_tokenizer(args)
        return cls(model.tokenizer, text_tokenizer, vocoder)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.mel_mean.device

    def encode(self, wav: Wave, fs: int) -> torch.Tensor:
        """One wave (L,) at any rate `fs` in Hz to tokens (T,), int64."""
        return self.encode_batch([wav], fs)[0]

    @torch.no_grad()
    def encode_batch(
        self,
        wavs: Sequence[Wave],
        fs: int,
        utt_ids: Optional[Sequence[str]] = None,
        return_ctc: bool = False,
    ) -> Union[List[torch.Tensor], Tuple[List[torch.Tensor], List[torch.Tensor]]]:
        """Several waves at once; each gets the tokens it would get alone.

        Args:
            wavs: Waves (L,), mono, floating point in [-1, 1].
            fs: Their sampling rate in Hz; resampled where it is not the model's.
            utt_ids: Names for error messages.
            return_ctc: Also return the recognition head's output.

        Returns:
            Tokens (T,) int64 of each wave on the CPU; with `return_ctc` also
            log-probabilities (T, V + 1), the blank first, of each.

        Raises:
            InputError: If a wave is empty, silent, not finite or not mono.
        """
        names = utt_ids or [f"wave {i}" for i in range(len(wavs))]
        mels, lengths = [], []
        for name, wav in zip(names, wavs):
            wav = self._prepare(wav, fs, name)
            # One at a time: the STFT reflects a wave at its own end.
            mel, length = self.model.mel(
                wav[None], torch.tensor([wav.numel()], device=self.device)
            )
            mels.append(mel[0])
            lengths.append(length)
        mel, lengths = pad_sequence(mels, batch_first=True), torch.cat(lengths)
        output = self.model.encode_mel(mel, lengths)
        sizes = lengths.tolist()
        tokens = [t[:n].cpu() for t, n in zip(output.tokens, sizes)]
        if not return_ctc:
            return tokens
        log_probs = self.model.ctc_log_probs(output.codes, lengths)
        return tokens, [p[:n].cpu() for p, n in zip(log_probs, sizes)]

    def _prepare(self, wav: Wave, fs: int, name: str) -> torch.Tensor:
        wav = mono_wave(wav, name)
        wav = resample(wav, fs, self.fs)
        # The STFT cannot reflect less than half a window.
        shortest = self.model.feats_extract.n_fft // 2 + 1
        wav = np.pad(wav, (0, max(0, shortest - wav.size)))
        return torch.from_numpy(wav).to(self.device)

    @cached_property
    def chain(self) -> TokenToWave:
        """What `decode` goes through: the network's mel decoder and the vocoder."""
        vocoder = self._vocoder or build_vocoder("griffin_lim", self.mel_decoder.mel)
        return TokenToWave(self.mel_decoder, vocoder)

    def decode(self, tokens: Union[np.ndarray, torch.Tensor]) -> torch.Tensor:
        """Tokens (T,) to a wave (L,), float32."""
        return self.chain([tokens])[0].wave

    def decode_mel(self, tokens: Union[np.ndarray, torch.Tensor]) -> torch.Tensor:
        """Tokens (T,) to a log-mel (T * frames_per_token, n_mels), base 10."""
        return self.chain.mels([tokens])[0]


def load_tokenizer(
    train_config: Optional[Union[str, Path]],
    model_file: Union[str, Path],
    device: str = "cpu",
) -> Union[SpeechTokenizer, "CosyVoice2Tokenizer"]:
    """A tokenizer of this package, or CosyVoice 2's.

    Args:
        train_config: Its config.yaml; None for CosyVoice 2's.
        model_file: Its weights, or `speech_tokenizer_v2.onnx`.
        device: Where to run; CosyVoice 2's runs on the CPU.

    Raises:
        InputError: If a file is missing or no such thing.
    """
    if train_config is not None:
        return SpeechTokenizer.from_pretrained(train_config, model_file, device=device)
    from espnet_fsqdiff.token2wav.external.cosyvoice2_tokenizer import (
        CosyVoice2Tokenizer,
    )

    return CosyVoice2Tokenizer(model_file)
