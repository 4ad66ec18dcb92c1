"""Options of commands that make tokens audible."""

import pytest
from espnet2.utils import config_argparse

from espnet_fsqdiff.bin.chain_arguments import (
    add_vocoder_arguments,
    forget_others_options,
)


@pytest.mark.parametrize(
    "command, vocoder, conf",
    [
        ([], "griffin_lim", {"num_iters": 8, "seed": 1}),
        (["--vocoder_conf", "num_iters=4"], "griffin_lim", {"num_iters": 4, "seed": 1}),
        (["--vocoder", "trained"], "trained", {}),
        (["--vocoder", "trained", "--vocoder_conf", "{}"], "trained", {}),
        (["--vocoder_conf", "path=x", "--vocoder", "vocos"], "vocos", {"path": "x"}),
    ],
)
def test_a_vocoder_of_the_command_has_its_own_options(tmp_path, command, vocoder, conf):
    config = tmp_path / "decode.yaml"
    config.write_text("vocoder: griffin_lim\nvocoder_conf: {num_iters: 8, seed: 1}\n")
    parser = config_argparse.ArgumentParser()
    add_vocoder_arguments(parser)
    args = parser.parse_args(["--config", str(config), *command])
    forget_others_options(args)
    assert (args.vocoder, args.vocoder_conf) == (vocoder, conf)
