"""What the commands that train a task share."""

import importlib
from typing import Any, List, Optional

from espnet_fsqdiff.espnet_check import require_espnet


class TrainCommand:
    """Trains an ESPnet task, which is imported once it is needed.

    Args:
        module: Of the task, below `espnet_fsqdiff.tasks`.
        task: Its name there.
    """

    def __init__(self, module: str, task: str):
        self._module, self._task = module, task

    def get_task(self) -> Any:
        """Return the task, or say in one line what is missing for it."""
        require_espnet()
        module = importlib.import_module(f"espnet_fsqdiff.tasks.{self._module}")
        return getattr(module, self._task)

    def get_parser(self) -> Any:
        """Return the parser of the task."""
        return self.get_task().get_parser()

    def main(self, cmd: Optional[List[str]] = None) -> None:
        """Run the task."""
        self.get_task().main(cmd=cmd)
