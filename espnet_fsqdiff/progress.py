"""What fsqdiff-tts says on standard error while it speaks."""

import sys
import time
from typing import Optional


class Progress:
    """What is said on standard error: a bar on a terminal, then one line."""

    def __init__(self, quiet: bool):
        self.quiet = quiet
        self._bar = None
        self._begun = time.perf_counter()
        self._seconds = 0.0

    def loaded(self, model: str) -> None:
        """The voice is there."""
        self._say(f"{model}: loaded in {time.perf_counter() - self._begun:.1f} s")

    def start(self, total: Optional[int], unit: str, scale: bool = False) -> None:
        """Speaking begins; the time of loading does not count."""
        from tqdm import tqdm

        self._bar = tqdm(
            total=total,
            unit=unit,
            unit_scale=scale,
            disable=True if self.quiet else None,
            leave=False,
        )
        self._begun = time.perf_counter()

    def advance(self, count: int = 1) -> None:
        """So much of the text is done."""
        self._bar.update(count)

    def spoke(self, seconds: float) -> None:
        """So much more speech is there."""
        self._seconds += seconds
        took = time.perf_counter() - self._begun
        self._bar.set_postfix_str(
            f"{self._seconds:.0f} s of speech, RTF {took / self._seconds:.2f}",
            refresh=False,
        )

    def error(self, message: str) -> None:
        """Something went wrong that does not end the run."""
        from tqdm import tqdm

        tqdm.write(f"fsqdiff-tts: {message}", file=sys.stderr)

    def end(self, message: str, seconds: float) -> None:
        """All is done; `seconds` of speech were made."""
        self._bar.close()
        took = time.perf_counter() - self._begun
        if seconds:
            message += f" in {took:.1f} s (real-time factor {took / seconds:.3f})"
        self._say(message)

    def _say(self, message: str) -> None:
        if not self.quiet:
            sys.stderr.write(message + "\n")
