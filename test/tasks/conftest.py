"""Speech tokens of ten made-up utterances, for the tests of the diffusion task."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

SYMBOLS = ["<sos/eos>", "<space>", *"abcde"]
LEVELS = [3, 3, 3]

CONFIG = dict(
    codebook_conf=dict(levels=LEVELS),
    text_encoder_conf=dict(dim=16, num_layers=1),
    backbone_conf=dict(dim=32, depth=1, num_heads=2, dropout=0.1),
    model_conf=dict(ema_decay=0.9, cpu_autocast="off"),
    optim="adamw",
    optim_conf=dict(lr=1.0e-2),
    scheduler="warmuplr",
    scheduler_conf=dict(warmup_steps=4),
    batch_type="unsorted",
    batch_size=2,
    num_workers=0,
    max_epoch=1,
    best_model_criterion=[["valid", "loss", "min"]],
    keep_nbest_models=1,
    num_att_plot=0,
    use_matplotlib=False,
    use_tensorboard=False,
)


class TokenData:
    """Sets `train` (8 utterances) and `valid` (2) below `root`.

    Attributes:
        tokens: Tokens by set and utterance.
        texts: Texts by set and utterance.
    """

    def __init__(self, root):
        from espnet_fsqdiff.arks import write_ark
        from espnet_fsqdiff.data.datadir import write_table
        from espnet_fsqdiff.duration import DurationTable
        from espnet_fsqdiff.text.tokenizer import write_token_list
        from espnet_fsqdiff.token_io import write_int_table

        self.root = root
        self.token_list = root / "symbols.txt"
        self.duration_file = root / "duration.yaml"
        write_token_list(self.token_list, SYMBOLS)
        DurationTable(SYMBOLS, np.linspace(1, 3, len(SYMBOLS))).save(self.duration_file)
        self.tokens, self.texts = {}, {}
        rng = np.random.default_rng(0)
        for name, size in (("train", 8), ("valid", 2)):
            texts, tokens, durations = {}, {}, {}
            for i in range(size):
                utt = f"{name}_{i}"
                texts[utt] = "".join(rng.choice(list("abcde"), 3)) + " ab"
                durations[utt] = rng.integers(1, 4, len(texts[utt]) + 2)
                tokens[utt] = rng.integers(0, 27, durations[utt].sum())
            self.texts[name], self.tokens[name] = texts, tokens
            write_table(root / name / "text", texts)
            write_table(
                root / name / "utt2num_tokens", {u: len(t) for u, t in tokens.items()}
            )
            ark = root / name / "tokens.ark"
            at = write_ark(ark, tokens)
            write_table(root / name / "tokens.scp", {u: f"{ark}:{at[u]}" for u in at})
            write_int_table(root / name / "durations.txt", durations)

    def command(self, exp, *options, **config):
        """Options of the task for a run into `exp`, with changes to CONFIG."""
        file = exp.with_name(f"{exp.name}.yaml")
        file.write_text(yaml.safe_dump({**CONFIG, **config}), encoding="utf-8")
        command = ["--config", file, "--output_dir", exp, *options]
        command += ["--token_list", self.token_list]
        for name in ("train", "valid"):
            data = f"--{name}_data_path_and_name_and_type"
            at = self.root / name
            command += [data, f"{at}/text,text,text"]
            command += [data, f"{at}/tokens.scp,speech_token,kaldi_ark"]
            command += [data, f"{at}/durations.txt,durations,text_int"]
            command += [f"--{name}_shape_file", at / "utt2num_tokens"]
        return [str(word) for word in command]


@pytest.fixture(autouse=True)
def heard_interrupts():
    """Ctrl-C is heard, also where a shell began the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def token_data(tmp_path_factory):
    return TokenData(tmp_path_factory.mktemp("token_data"))


@pytest.fixture
def run_two(tmp_path):
    """Run a script of this folder as both of two ranks; its files go to tmp_path."""

    def run(script):
        worker = str(Path(__file__).parent / script)
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        processes = [
            subprocess.Popen(
                [sys.executable, worker, str(rank), "2", str(tmp_path)],
                env=env,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]
        for process in processes:
            _, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors

    return run
