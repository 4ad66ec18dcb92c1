"""Train flow matching from speech tokens to mels (ESPnet options; see --help)."""

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.bin.training import TrainCommand

_command = TrainCommand("token2mel", "Token2MelTask")
get_task, get_parser, main = _command.get_task, _command.get_parser, _command.main


def entry():
    """Console script."""
    cli(main)


if __name__ == "__main__":
    entry()
