"""A tiny voice and a tiny corpus, all of it sound: what the targets damage."""

from argparse import Namespace
from pathlib import Path
from typing import Any, Dict

import numpy as np

FS, HOP = 16000, 160
SYMBOLS = ["<sos/eos>", "<space>", *"abcdefghijklmnopqrstuvwxyz.,'"]
LEVELS = dict(levels=[3, 3, 3])
DECODER = dict(
    codebook_conf=LEVELS,
    text_expansion="duration",
    text_encoder_conf=dict(dim=8, num_layers=1),
    backbone_conf=dict(dim=16, depth=1, num_heads=2, max_frames=120),
    loss_conf=dict(prompt_prob=0.5),
)
TOKENIZER = dict(
    feats_extract_conf=dict(
        fs=FS, n_fft=512, hop_length=HOP, n_mels=20, fmin=0, fmax=8000
    ),
    encoder_conf=dict(output_size=8, num_blocks=1),
    quantizer_conf=LEVELS,
    decoder_conf=dict(hidden_size=8, num_blocks=1),
    recognizer_conf=dict(hidden_size=8, num_blocks=1),
)
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
        configs: The contents of its yaml files, by role.
        train_configs: What its models would be trained with, by role.
        pack: The voice in a zip.
        corpus: A Kaldi data directory of three utterances, with `utt2num_samples`.
        tokens: Their tokens: `tokens.scp`, `tokens.txt`, `counts.txt`, ...
        tts: The voice, loaded.
    """

    def __init__(self, root: Path):
        import yaml

        from espnet_fsqdiff.duration import DurationTable
        from espnet_fsqdiff.packing import pack
        from espnet_fsqdiff.tasks.cdcd import CDCDTask
        from espnet_fsqdiff.tasks.fsq_tokenizer import FSQTokenizerTask
        from espnet_fsqdiff.text2speech import Text2Speech
        from espnet_fsqdiff.text.tokenizer import write_token_list

        self.root = root = Path(root)
        root.mkdir(parents=True)
        self.symbols = root / "tokens.txt"
        write_token_list(self.symbols, SYMBOLS)
        self.train_configs = dict(train_config=DECODER, tokenizer_config=TOKENIZER)
        self.tasks = dict(train_config=CDCDTask, tokenizer_config=FSQTokenizerTask)
        self.files: Dict[str, Path] = {}
        for role, task in self.tasks.items():
            folder = root / role
            self._write_model(task, folder, self.train_configs[role])
            self.files[role] = folder / "config.yaml"
            weights = "model_file" if role == "train_config" else "tokenizer_file"
            self.files[weights] = folder / "model.pth"
        self.files["duration_file"] = root / "duration.yaml"
        frames = np.full(len(SYMBOLS), 1.5)
        DurationTable(SYMBOLS, frames).save(self.files["duration_file"])
        self.files["inference_config"] = root / "decode.yaml"
        self.files["inference_config"].write_text(yaml.safe_dump(INFERENCE))
        self.files["readme"] = root / "README.md"
        self.files["readme"].write_text("# A tiny voice\n")
        self.configs = {
            role: yaml.safe_load(path.read_text(encoding="utf-8"))
            for role, path in self.files.items()
            if path.suffix == ".yaml"
        }
        self.pack = pack(root / "voice.zip", self.files, "CC0-1.0")
        files = {
            role: path
            for role, path in self.files.items()
            if role not in ("inference_config", "readme")
        }
        options = {k: v for k, v in INFERENCE.items() if k != "vocoder"}
        self.tts = Text2Speech.from_files(**files, **options)
        self.corpus = root / "corpus"
        self.tokens = root / "tokens"
        self._write_corpus()

    def voice_with(self, role: str, path: Path) -> Any:
        """The voice, loaded with another file in place of that of `role`."""
        from espnet_fsqdiff.text2speech import Text2Speech

        left_out = ("inference_config", "readme")
        files = {r: file for r, file in self.files.items() if r not in left_out}
        return Text2Speech.from_files(
            **{**files, role: path}, num_steps=1, vocoder_conf=dict(num_iters=1)
        )

    def _write_model(self, task: Any, folder: Path, config: Dict[str, Any]) -> None:
        """config.yaml and model.pth of a model that was never trained."""
        import torch
        import yaml

        folder.mkdir(parents=True)
        train = folder / "train.yaml"
        train.write_text(yaml.safe_dump({**config, "token_list": str(self.symbols)}))
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
        (folder / "config.yaml").write_text(yaml.safe_dump(kept))
        torch.save(model.state_dict(), folder / "model.pth")

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
        ark = self.tokens / "tokens.ark"
        at = write_ark(ark, tokens)
        write_table(self.tokens / "tokens.scp", {u: f"{ark}:{at[u]}" for u in at})
        write_int_table(self.tokens / "tokens.txt", tokens)
        write_int_table(self.tokens / "durations.txt", durations)
        write_counts(self.tokens / "counts.txt", count_codes(tokens.values(), 27))
