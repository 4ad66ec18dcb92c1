"""Who builds a model that turns text into tokens."""

from pathlib import Path
from typing import Union

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.cdcd import CDCDBuilder
from espnet_fsqdiff.tasks.common import read_config
from espnet_fsqdiff.tasks.token_lm import TokenLMBuilder

# By an option that no other task has.
DECODERS = {"backbone": CDCDBuilder, "lm": TokenLMBuilder}


def decoder_task(config_file: Union[str, Path]) -> type[CDCDBuilder]:
    """The builder of the task whose training configuration this is.

    Raises:
        InputError: If it is missing, or of neither task.
    """
    config = read_config(config_file)
    for option, task in DECODERS.items():
        if option in config:
            return task
    raise InputError(
        f"{config_file} is of no model that makes tokens from text; give the "
        "config.yaml of cdcd_train or token_lm_train"
    )
