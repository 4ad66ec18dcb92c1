"""What every command does around its `main`."""

import sys
from pathlib import Path
from typing import Callable

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import DISK_FAULTS, disk_fault


def cli(main: Callable[[], object]) -> None:
    """Run a command; a fault of user or disk becomes one line and exit status 2."""
    try:
        main()
    except InputError as e:
        _stop(str(e))
    except OSError as e:
        if e.errno not in DISK_FAULTS:
            raise
        _stop(disk_fault(e, Path.cwd()))
    except KeyboardInterrupt:
        sys.stderr.write(f"{Path(sys.argv[0]).stem}: interrupted\n")
        sys.exit(130)


def _stop(message: str) -> None:
    sys.stderr.write(f"{Path(sys.argv[0]).stem}: error: {message}\n")
    sys.exit(2)
