"""Train a vocoder (ESPnet options; see --help)."""

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.espnet_check import require_espnet


def get_task():
    """Return the task, or say in one line what is missing for it."""
    require_espnet()
    from espnet_fsqdiff.tasks.vocoder import VocoderTask

    return VocoderTask


def get_parser():
    """Return the parser of the task."""
    return get_task().get_parser()


def main(cmd=None):
    """Run the task."""
    get_task().main(cmd=cmd)


def entry():
    """Console script."""
    cli(main)


if __name__ == "__main__":
    entry()
