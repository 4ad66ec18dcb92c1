"""A tiny voice and a tiny corpus, all of it sound: what the targets damage."""

import importlib
from argparse import Namespace
from pathlib import Path
from typing import Any, Dict, NamedTuple

import numpy as np

FS, HOP = 16000, 160
SYMBOLS = ["<sos/eos>", "<space>", *"abcdefghijklmnopqrstuvwxyz.,'"]
LEVELS = dict(levels=[3, 3, 3])
MEL = dict(fs=FS, n_fft=512, hop_length=HOP, n_mels=20, fmin=0, fmax=8000)


class Part(NamedTuple):
    """A model of a voice.

    Attributes:
        task: Its task, below `espnet_fsqdiff.tasks`.
        config: Argument of `Text2Speech.from_files` that names its config.yaml.
        weights: That which names its weights.
        training: What it would be trained with.
    """

    task: str
    config: str
    weights: str
    training: Dict[str, Any]


# The voice is of the first two; the others may take a place in it.
PARTS = {
    "decoder": Part(
        "cdcd.CDCDTask",
        "train_config",
        "model_file",
        dict(
            codebook_conf=LEVELS,
            text_expansion="duration",
            text_encoder_conf=dict(dim=8, num_layers=1),
            backbone_conf=dict(dim=16, depth=1, num_heads=2, max_frames=120),
            loss_conf=dict(prompt_prob=0.5),
        ),
    ),
    "tokenizer": Part(
        "fsq_tokenizer.FSQTokenizerTask",
        "tokenizer_config",
        "tokenizer_file",
        dict(
            feats_extract_conf=MEL,
            encoder_conf=dict(output_size=8, num_blocks=1),
            quantizer_conf=LEVELS,
            decoder_conf=dict(hidden_size=8, num_blocks=1),
            recognizer_conf=dict(hidden_size=8, num_blocks=1),
        ),
    ),
    "language_model": Part(
        "token_lm.TokenLMTask",
        "train_config",
        "model_file",
        dict(
            codebook_conf=LEVELS,
            text_expansion="alignment",
            text_encoder_conf=dict(dim=8, num_layers=1),
            lm_conf=dict(dim=16, num_layers=1, num_heads=2, mlp_dim=16),
            network_conf=dict(points=True),
            loss_conf=dict(token_mask=0.2),
        ),
    ),
    "token2mel": Part(
        "token2mel.Token2MelTask",
        "token2mel_config",
        "token2mel_file",
        dict(
            feats_extract_conf=MEL,
            codebook_conf=LEVELS,
            token_encoder_conf=dict(dim=8, num_layers=1),
            backbone="convnext",
            backbone_conf=dict(dim=8, depth=1, max_frames=500),
            loss_conf=dict(prompt_prob=0.5),
        ),
    ),
    "vocoder": Part(
        "vocoder.VocoderTask",
        "vocoder_train_config",
        "vocoder_file",
        dict(
            feats_extract_conf=MEL,
            generator_conf=dict(hidden_size=8, num_blocks=1),
            discriminator_conf=dict(
                period=dict(periods=[2], channels=2, max_downsample_channels=4),
                stft=None,
            ),
            criterion_conf=dict(windows=[512], n_mels=[16]),
            model_conf=dict(segment_size=3200),
        ),
    ),
}
INFERENCE = dict(
    num_steps=1,
    guidance_scale=0.5,
    batch_size=4,
    normalizer="spoken_english",
    vocoder="griffin_lim",
    vocoder_conf=dict(num_iters=1),
)


class Material:
    """Files below `root`, and the voice loaded from them.

    Attributes:
        files: Of the voice, by role (see `packing.pack`).
        tasks: Of every part, by its name.
        configs: Its config.yaml.
        weights: The file of its weights.
        pack: The voice in a zip.
        corpus: A Kaldi data directory of three utterances, with `utt2num_samples`.
        tokens: Their tokens: `tokens.scp`, `tokens.txt`, `counts.txt`, ...; beside
            them `vectors.scp` of speaker embeddings and `mels.scp`.
        tts: The voice, loaded.
    """

    def __init__(self, root: Path):
        import yaml

        from espnet_fsqdiff.duration import DurationTable
        from espnet_fsqdiff.packing import pack
        from espnet_fsqdiff.text2speech import Text2Speech
        from espnet_fsqdiff.text.tokenizer import write_token_list

        self.root = root = Path(root)
        root.mkdir(parents=True)
        self.symbols = root / "tokens.txt"
        write_token_list(self.symbols, SYMBOLS)
        self.tasks, self.configs, self.weights = {}, {}, {}
        for name, part in PARTS.items():
            module, task = part.task.split(".")
            module = importlib.import_module(f"espnet_fsqdiff.tasks.{module}")
            self.tasks[name] = getattr(module, task)
            self._write_model(name, root / name)
        self.files: Dict[str, Path] = {}
        for name in ("decoder", "tokenizer"):
            self.files.update(self._files_of(name))
        self.files["duration_file"] = root / "duration.yaml"
        frames = np.full(len(SYMBOLS), 1.5)
        DurationTable(SYMBOLS, frames).save(self.files["duration_file"])
        voice = dict(self.files)
        self.files["inference_config"] = root / "decode.yaml"
        self.files["inference_config"].write_text(yaml.safe_dump(INFERENCE))
        self.files["readme"] = root / "README.md"
        self.files["readme"].write_text("# A tiny voice\n")
        self.pack = pack(root / "voice.zip", self.files, "CC0-1.0")
        options = {k: v for k, v in INFERENCE.items() if k != "vocoder"}
        self.tts = Text2Speech.from_files(**voice, **options)
        self.voice = voice
        self.corpus = root / "corpus"
        self.tokens = root / "tokens"
        self._write_corpus()

    def voice_with(self, name: str, **files: Path) -> Any:
        """The voice, loaded with one part in it.

        Args:
            name: Of the part.
            **files: `config` or `weights`, in place of those of the part.
        """
        from espnet_fsqdiff.text2speech import Text2Speech

        named = {**self.voice, **self._files_of(name, **files)}
        if name != "language_model":
            named["num_steps"] = 1
        if name != "vocoder":
            named["vocoder_conf"] = dict(num_iters=1)
        if name == "token2mel":
            named["token2mel_conf"] = dict(num_steps=1)
        return Text2Speech.from_files(**named)

    def _files_of(self, name: str, **files: Path) -> Dict[str, Path]:
        part = PARTS[name]
        folder = self.root / name
        return {
            part.config: files.get("config", folder / "config.yaml"),
            part.weights: files.get("weights", folder / "model.pth"),
        }

    def train_config(self, name: str) -> Dict[str, Any]:
        """What a part would be trained with: the content of a `--config`."""
        config = dict(PARTS[name].training)
        if name not in ("token2mel", "vocoder"):
            config["token_list"] = str(self.symbols)
        return config

    def _write_model(self, name: str, folder: Path) -> None:
        """config.yaml and model.pth of a model that was never trained."""
        import torch
        import yaml

        task = self.tasks[name]
        folder.mkdir()
        train = folder / "train.yaml"
        train.write_text(yaml.safe_dump(self.train_config(name)))
        args: Namespace = task.get_parser().parse_args(
            ["--config", str(train), "--output_dir", str(folder)]
        )
        torch.manual_seed(0)
        model = task.build_model(args)
        for parameter in model.parameters():
            # Far from where training starts, so that text and noise matter.
            torch.nn.init.normal_(parameter, std=0.3)
        options = vars(args).items()
        kept = {k: v for k, v in options if k not in ("config", "required")}
        content = yaml.safe_dump(kept)
        self.configs[name] = yaml.safe_load(content)
        (folder / "config.yaml").write_text(content)
        self.weights[name] = folder / "model.pth"
        torch.save(model.state_dict(), self.weights[name])

    def _write_corpus(self) -> None:
        import soundfile

        from espnet_fsqdiff.arks import write_ark
        from espnet_fsqdiff.data.datadir import DataDir, write_table
        from espnet_fsqdiff.token_io import (
            count_codes,
            write_counts,
            write_int_table,
        )

        rng = np.random.default_rng(0)
        texts = {"utt1": "a word.", "utt2": "two, words", "utt3": "so it's said"}
        waves, samples, tokens, durations = {}, {}, {}, {}
        for i, (utt, text) in enumerate(texts.items()):
            samples[utt] = FS // 2 + 1600 * i
            wave = 0.3 * rng.standard_normal(samples[utt])
            path = self.corpus / "data" / f"{utt}.{'flac' if i else 'wav'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(str(path), wave, FS, subtype="PCM_16")
            waves[utt] = str(path)
            durations[utt] = rng.integers(1, 3, len(text) + 2)
            tokens[utt] = rng.integers(0, 27, durations[utt].sum())
        DataDir(waves, texts, dict.fromkeys(texts, "speaker")).write(self.corpus)
        write_table(self.corpus / "utt2num_samples", samples)
        vectors = {utt: rng.standard_normal(4) for utt in texts}
        mels = {utt: rng.standard_normal((9, MEL["n_mels"])) for utt in texts}
        for name, arrays, dtype in (
            ("tokens", tokens, np.int32),
            ("vectors", vectors, np.float32),
            ("mels", mels, np.float32),
        ):
            ark = self.tokens / f"{name}.ark"
            at = write_ark(ark, arrays, dtype)
            write_table(
                self.tokens / f"{name}.scp", {utt: f"{ark}:{at[utt]}" for utt in at}
            )
        write_int_table(self.tokens / "tokens.txt", tokens)
        write_int_table(self.tokens / "durations.txt", durations)
        write_counts(self.tokens / "counts.txt", count_codes(tokens.values(), 27))
