"""A tiny voice with random weights, as the recipe leaves it; packed; loaded."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

FS, HOP = 16000, 160
SYMBOLS = ["<sos/eos>", "<space>", *"abcdefghijklmnopqrstuvwxyz.,'"]
LEVELS = dict(levels=[3, 3, 3])
DECODER = dict(
    codebook_conf=LEVELS,
    text_expansion="duration",
    text_encoder_conf=dict(dim=16, num_layers=1),
    backbone_conf=dict(dim=32, depth=1, num_heads=2, max_frames=120),
    loss_conf=dict(prompt_prob=0.5),
)
TOKENIZER = dict(
    feats_extract_conf=dict(
        fs=FS, n_fft=512, hop_length=HOP, n_mels=20, fmin=0, fmax=8000
    ),
    encoder_conf=dict(output_size=16, num_blocks=1),
    quantizer_conf=LEVELS,
    decoder_conf=dict(hidden_size=16, num_blocks=1),
    recognizer_conf=dict(hidden_size=16, num_blocks=1),
)
INFERENCE = dict(
    num_steps=4,
    guidance_scale=0.5,
    batch_size=4,
    normalizer="spoken_english",
    vocoder="griffin_lim",
    vocoder_conf=dict(num_iters=1),
)


class Buzz:
    """A vocoder that is fast: the loudness of the mel on a tone."""

    fs = FS

    def __init__(self, mel):
        self.mel = mel

    def batch(self, mels):
        return [self(mel) for mel in mels]

    def __call__(self, mel):
        loudness = mel.mean(-1).repeat_interleave(HOP)
        return loudness.tanh() * torch.sin(torch.arange(len(loudness)) / 10)


def write_model(task, folder, symbols, **config):
    """config.yaml and model.pth of a model that was never trained."""
    folder.mkdir(parents=True)
    file = folder / "train.yaml"
    file.write_text(yaml.safe_dump({**config, "token_list": str(symbols)}))
    args = task.get_parser().parse_args(
        ["--config", str(file), "--output_dir", str(folder)]
    )
    torch.manual_seed(0)
    model = task.build_model(args)
    for name, parameter in model.named_parameters():
        # Far from where training starts, so that text and noise matter.
        torch.nn.init.normal_(parameter, std=0.3)
    options = {k: v for k, v in vars(args).items() if k not in ("config", "required")}
    options["token_list"] = SYMBOLS
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    torch.save(model.state_dict(), folder / "model.pth")


@pytest.fixture(scope="session")
def write_voice():
    """Write a voice's files to a folder: `write_voice(folder, **decoder options)`."""
    from espnet_fsqdiff.duration import DurationTable
    from espnet_fsqdiff.tasks.cdcd import CDCDTask
    from espnet_fsqdiff.tasks.fsq_tokenizer import FSQTokenizerTask
    from espnet_fsqdiff.text.tokenizer import write_token_list

    def write(folder, **decoder):
        symbols = folder / "symbols.txt"
        folder.mkdir(parents=True, exist_ok=True)
        write_token_list(symbols, SYMBOLS)
        write_model(CDCDTask, folder / "decoder", symbols, **{**DECODER, **decoder})
        write_model(FSQTokenizerTask, folder / "tokenizer", symbols, **TOKENIZER)
        DurationTable(SYMBOLS, np.full(len(SYMBOLS), 1.5)).save(folder / "d.yaml")
        (folder / "decode.yaml").write_text(yaml.safe_dump(INFERENCE))
        (folder / "README.md").write_text("# A tiny voice\n")
        return dict(
            train_config=folder / "decoder" / "config.yaml",
            model_file=folder / "decoder" / "model.pth",
            tokenizer_config=folder / "tokenizer" / "config.yaml",
            tokenizer_file=folder / "tokenizer" / "model.pth",
            duration_file=folder / "d.yaml",
            inference_config=folder / "decode.yaml",
            readme=folder / "README.md",
        )

    return write


@pytest.fixture(scope="session")
def voice(write_voice, tmp_path_factory):
    """`files` by role, and `pack`, the zip of them in half precision."""
    from espnet_fsqdiff.packing import pack

    folder = tmp_path_factory.mktemp("voice")
    files = write_voice(folder)
    made = pack(folder / "tiny.zip", files, "CC0-1.0", "float16")
    return SimpleNamespace(files=files, pack=made)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("ESPNET_FSQDIFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def tts(voice, tmp_path_factory):
    """The voice, loaded, with a fast vocoder."""
    from espnet_fsqdiff.text2speech import Text2Speech
    from espnet_fsqdiff.token2wav import TokenToWave

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESPNET_FSQDIFF_CACHE", str(tmp_path_factory.mktemp("cache")))
        tts = Text2Speech.from_pretrained(voice.pack)
    decoder = tts.tokenizer.mel_decoder
    tts.chain = TokenToWave(decoder, Buzz(decoder.mel))
    return tts
