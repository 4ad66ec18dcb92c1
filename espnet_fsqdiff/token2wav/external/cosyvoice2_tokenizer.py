"""CosyVoice 2's speech tokenizer, `speech_tokenizer_v2.onnx`, in onnxruntime."""

from pathlib import Path
from typing import List, Optional, Sequence, Union

import numpy as np
import torch

from espnet_fsqdiff.data.audio import mono_wave, resample
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token2wav.external import require
from espnet_fsqdiff.token2wav.external.whisper_mel import (
    FS,
    HOP,
    N_FFT,
    N_MELS,
    whisper_log_mel,
)

NAME = "tokenizer cosyvoice2"
# What its authors' code takes at once.
MAX_SECONDS = 30.0
TYPES = (["tensor(float)"], ["tensor(int32)"])

Wave = Union[np.ndarray, torch.Tensor]


class CosyVoice2Tokenizer:
    """Waves to tokens, with the interface of `SpeechTokenizer`.

    It has no mel decoder and no recognition head that one could ask: so tokens have no
    durations, and prompts are not checked against their transcript.

    Args:
        onnx_file: Of two inputs, the first a log-mel (1, 128, F), float32, see
            `whisper_mel`, the second its length F (1,), int32; and one output, the
            tokens (1, T) at 25 Hz.

    Attributes:
        fs: Sampling rate in Hz that it works at.
        rate_hz: Tokens a second.
        num_codes: Codebook size K.
        has_ctc: Whether there is a recognition head: no.

    Raises:
        InputError: If onnxruntime is not installed, or the file is missing or no such
            graph.
    """

    fs = FS
    rate_hz = 25.0
    num_codes = 3**8
    has_ctc = False
    text_tokenizer = None
    mel_decoder = None

    def __init__(self, onnx_file: Union[str, Path]):
        require("onnxruntime", NAME, "pip install 'espnet_fsqdiff[onnx]'")
        import onnxruntime

        if not Path(onnx_file).is_file():
            raise InputError(f"{NAME}: {onnx_file}: no such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        try:
            self.session = onnxruntime.InferenceSession(
                str(onnx_file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as e:  # its own kinds have no public base
            reason = " ".join(str(e).split())[:200]
            raise InputError(
                f"{NAME}: {onnx_file}: onnxruntime refuses it: {reason}"
            ) from e
        inputs = self.session.get_inputs()
        if (
            tuple([i.type] for i in inputs) != TYPES
            or len(inputs[0].shape) != 3
            or inputs[0].shape[1] not in (N_MELS, None)
            and not isinstance(inputs[0].shape[1], str)
        ):
            found = [(i.type, i.shape) for i in inputs]
            raise InputError(
                f"{NAME}: {onnx_file} takes {found}; give speech_tokenizer_v2.onnx, "
                "which takes a mel (1, 128, F) and its length"
            )
        self._names = [i.name for i in inputs]

    def encode(self, wav: Wave, fs: int) -> torch.Tensor:
        """One wave (L,) at any rate `fs` in Hz to tokens (T,), int64."""
        return self.encode_batch([wav], fs)[0]

    def encode_batch(
        self,
        wavs: Sequence[Wave],
        fs: int,
        utt_ids: Optional[Sequence[str]] = None,
        return_ctc: bool = False,
    ) -> List[torch.Tensor]:
        """Several waves, one after the other: the graph takes one.

        Args:
            wavs: Waves (L,), mono, floating point in [-1, 1], of 30 s at most.
            fs: Their sampling rate in Hz; resampled to 16 kHz.
            utt_ids: Names for error messages.
            return_ctc: Has to be False.

        Returns:
            Tokens (T,) int64 of each wave on the CPU.

        Raises:
            InputError: If a wave is empty, silent, not finite, not mono or too long.
        """
        if return_ctc:
            raise InputError(f"{NAME} has no recognition head")
        names = utt_ids or [f"wave {i}" for i in range(len(wavs))]
        return [self._encode(wav, fs, name) for name, wav in zip(names, wavs)]

    def _encode(self, wav: Wave, fs: int, name: str) -> torch.Tensor:
        wav = mono_wave(wav, name)
        if len(wav) > MAX_SECONDS * fs:
            raise InputError(
                f"{name}: its wave has {len(wav) / fs:.1f} s; {NAME} takes up to "
                f"{MAX_SECONDS:g} s at once: cut it, or drop it by "
                "--max_wav_duration"
            )
        wav = resample(wav, fs, FS)
        wav = np.pad(wav, (0, max(0, N_FFT // 2 + 1 - wav.size, HOP - wav.size)))
        mel = whisper_log_mel(wav)[None]
        length = np.array([mel.shape[2]], dtype=np.int32)
        tokens, *_ = self.session.run(None, dict(zip(self._names, (mel, length))))
        return torch.from_numpy(np.asarray(tokens).reshape(-1).astype(np.int64))
