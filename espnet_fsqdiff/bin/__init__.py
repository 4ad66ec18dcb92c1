"""Commands, one short module each: `python -m espnet_fsqdiff.bin.<name>`."""
