"""How alike two voices are: the cosine of their speaker embeddings."""

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np
import torch

from espnet_fsqdiff.data.audio import Notices, load_audio
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.scoring.acoustic import FS
from espnet_fsqdiff.scoring.parallel import parallel_map


class SpeakerModel:
    """A speaker model that ESPnet has trained, for 16 kHz.

    It is sent to other processes, so it loads what it needs when first used.

    Args:
        train_config: config.yaml of its training (ESPnet's `SpeakerTask`).
        model_file: Its weights.
    """

    def __init__(self, train_config: Union[str, Path], model_file: Union[str, Path]):
        self.train_config, self.model_file = Path(train_config), Path(model_file)
        self._model: Optional[torch.nn.Module] = None

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_model": None}

    def load(self) -> torch.nn.Module:
        """Return the model, in eval mode.

        Raises:
            InputError: A file is missing or damaged, or they do not fit together.
        """
        if self._model is None:
            from espnet_fsqdiff.tasks.common import load_model
            from espnet_fsqdiff.tasks.speaker import SpeakerBuilder

            files = self.train_config, self.model_file
            self._model, _ = load_model(SpeakerBuilder, *files)
        return self._model

    @torch.no_grad()
    def embed(self, wave: np.ndarray) -> np.ndarray:
        """The embedding of a voice.

        Args:
            wave: Samples (n,) at 16 kHz.

        Returns:
            A vector (D,) of length 1, float32.

        Raises:
            InputError: The model gives none for it.
        """
        speech = torch.as_tensor(wave, dtype=torch.float32).unsqueeze(0)
        try:
            found = self.load()(speech=speech, extract_embd=True).flatten()
        except RuntimeError as e:
            reason = " ".join(str(e).split())
            raise InputError(
                f"{self.model_file}: no embedding of {len(wave) / FS:.2f} s of speech "
                f"({reason}); give longer speech or another speaker model"
            ) from e
        if not torch.isfinite(found).all() or not found.any():
            raise InputError(
                f"{self.model_file}: an embedding is 0 or no number; give another model"
            )
        return torch.nn.functional.normalize(found, dim=0).numpy()


# The model of this process, set by `_start`.
_model: Optional[SpeakerModel] = None


def _start(model: SpeakerModel, one_thread: bool) -> None:
    global _model
    _model = model
    if one_thread:
        torch.set_num_threads(1)


def _embed_file(item: Tuple[str, str]) -> np.ndarray:
    name, path = item
    assert _model is not None
    return _model.embed(load_audio(path, FS, name, Notices(lambda message: None)))


def similarities(
    systems: Mapping[str, Mapping[str, str]],
    references: Mapping[str, str],
    model: SpeakerModel,
    nj: int = 1,
) -> Dict[str, List[float]]:
    """Compare the voices of systems with those they should have.

    Args:
        systems: By name, audio files by utterance id.
        references: An audio file of the wanted voice by utterance id; two utterances
            may have the same.
        model: What tells voices apart.
        nj: Number of processes.

    Returns:
        By system, the cosine of the embeddings (-1 to 1) of each reference's utterance
        and that reference, in their order.

    Raises:
        InputError: An audio file is at fault, or the model is.
    """
    model.load()  # a fault is known before anything begins
    files = {path: f"{utt} of the references" for utt, path in references.items()}
    for name, wavs in systems.items():
        files.update({wavs[utt]: f"{utt} of the {name}" for utt in references})
    items = [(name, path) for path, name in files.items()]
    # Several processes would each take all cores.
    initargs = (model, min(nj, len(items)) > 1)
    found = parallel_map(
        _embed_file, items, nj, "voices", initializer=_start, initargs=initargs
    )
    embeddings = dict(zip(files, found))
    return {
        name: [
            float(embeddings[wavs[utt]] @ embeddings[path])
            for utt, path in references.items()
        ]
        for name, wavs in systems.items()
    }
