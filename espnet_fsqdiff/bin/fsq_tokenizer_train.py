"""Train the speech tokenizer (ESPnet options; see --help)."""

from espnet_fsqdiff.bin.cli import cli


def get_parser():
    """Return the parser of the task."""
    from espnet_fsqdiff.tasks.fsq_tokenizer import FSQTokenizerTask

    return FSQTokenizerTask.get_parser()


def main(cmd=None):
    """Run the task."""
    from espnet_fsqdiff.tasks.fsq_tokenizer import FSQTokenizerTask

    FSQTokenizerTask.main(cmd=cmd)


def entry():
    """Console script."""
    cli(main)


if __name__ == "__main__":
    entry()
