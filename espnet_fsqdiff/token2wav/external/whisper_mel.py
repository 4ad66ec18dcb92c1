"""The log-mel that Whisper and, with 128 bins, CosyVoice 2's tokenizer take.

    S = |STFT|^2,    n_fft 400, hop 160, periodic Hann window, reflected at the ends,
                     without the last frame
    m = log10(max(M S, 1e-10)),    M of librosa's Slaney bins at 16 kHz
    mel = (max(m, max(m) - 8) + 4) / 4

(Radford et al., 2023; `whisper.log_mel_spectrogram`.)
"""

import numpy as np

FS, N_FFT, HOP, N_MELS = 16000, 400, 160, 128


def whisper_log_mel(wav: np.ndarray, n_mels: int = N_MELS) -> np.ndarray:
    """A wave (L,) at 16 kHz to (n_mels, L // 160), float32.

    Args:
        wav: Samples in [-1, 1], more than half a window (200).
        n_mels: Mel bins.
    """
    import librosa

    stft = librosa.stft(
        np.asarray(wav, dtype=np.float32),
        n_fft=N_FFT,
        hop_length=HOP,
        window="hann",
        center=True,
        pad_mode="reflect",
    )
    power = np.abs(stft[:, :-1]) ** 2
    bins = librosa.filters.mel(sr=FS, n_fft=N_FFT, n_mels=n_mels)
    log = np.log10(np.maximum(bins @ power, 1e-10))
    log = np.maximum(log, log.max() - 8.0)
    return ((log + 4.0) / 4.0).astype(np.float32)
