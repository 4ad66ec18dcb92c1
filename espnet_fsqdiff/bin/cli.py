"""What every command does around its `main`."""

import sys
from pathlib import Path
from typing import Callable

from espnet_fsqdiff.errors import InputError


def cli(main: Callable[[], object]) -> None:
    """Run a command; a user's fault becomes one line and exit status 2."""
    try:
        main()
    except InputError as e:
        sys.stderr.write(f"{Path(sys.argv[0]).stem}: error: {e}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write(f"{Path(sys.argv[0]).stem}: interrupted\n")
        sys.exit(130)
