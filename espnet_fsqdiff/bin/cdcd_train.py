"""Train the diffusion decoder (ESPnet options; see --help)."""

from espnet_fsqdiff.bin.cli import cli


def get_parser():
    """Return the parser of the task."""
    from espnet_fsqdiff.tasks.cdcd import CDCDTask

    return CDCDTask.get_parser()


def main(cmd=None):
    """Run the task."""
    from espnet_fsqdiff.tasks.cdcd import CDCDTask

    CDCDTask.main(cmd=cmd)


def entry():
    """Console script."""
    cli(main)


if __name__ == "__main__":
    entry()
