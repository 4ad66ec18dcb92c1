"""Results on disk, by the content of the files that they are of."""

import hashlib
import json
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from espnet_fsqdiff.files import atomic_path


class ContentCache:
    """Where results are kept, one small JSON file each.

    Args:
        directory: The folder of the files.
        settings: All that results depend on beside the audio: versions, options.
    """

    def __init__(self, directory: Union[str, Path], settings: Mapping[str, Any]):
        self.directory = Path(directory)
        self._prefix = json.dumps(settings, sort_keys=True).encode()

    def path(self, *audio: Union[str, Path]) -> Path:
        """Return the file that holds (or will hold) the result of audio files."""
        digest = hashlib.sha256(self._prefix)
        for number, name in enumerate(audio):
            content = Path(name).read_bytes()
            if number:
                digest.update(len(content).to_bytes(8, "big"))
            digest.update(content)
        return self.directory / f"{digest.hexdigest()[:32]}.json"


def read_result(path: Path) -> Optional[Dict[str, Any]]:
    """Return the result kept at `path`, or None if there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def keep_result(path: Path, result: Mapping[str, Any]) -> None:
    """Keep a result at `path`, whole or not at all."""
    with atomic_path(path) as aside:
        aside.write_text(json.dumps(dict(result)) + "\n", encoding="utf-8")
