"""yaml files: of models, of durations, of training."""

from pathlib import Path

from hypothesis import strategies as st

from benchmarks.fuzz.material import Material
from benchmarks.fuzz.target import Case, Target
from benchmarks.fuzz.targets.text import check_speech
from benchmarks.fuzz.values import yaml_files

# Of some hundred options of a training, those that inference looks at.
TEXT = ("token_list", "token_type", "cleaner", "g2p", "bpemodel", "edge_symbol")
SOUND = ("feats_extract", "feats_extract_conf", "token_rate", "mel_stats_file")
BUILDS = {
    "decoder": (
        *TEXT,
        *("text_expansion", "duration_file", "tokenizer_config", "model_conf"),
        *("codebook", "codebook_conf", "text_encoder", "text_encoder_conf"),
        *("backbone", "backbone_conf", "head", "head_conf"),
        *("schedule", "schedule_conf", "loss", "loss_conf"),
    ),
    "tokenizer": (
        *(*TEXT, *SOUND),
        *("encoder", "encoder_conf", "quantizer", "quantizer_conf", "decoder"),
        *("decoder_conf", "recognizer", "recognizer_conf", "specaug", "specaug_conf"),
        *("mel_weight", "ctc_weight", "usage_weight", "mel_scales", "match_variance"),
        *("shift_frames", "stretch", "model_conf"),
    ),
    "language_model": (
        *TEXT,
        *("text_expansion", "duration_file", "tokenizer_config", "model_conf"),
        *("codebook", "codebook_conf", "text_encoder", "text_encoder_conf"),
        *("lm", "lm_conf", "network_conf", "head", "head_conf", "loss", "loss_conf"),
    ),
    "token2mel": (
        *SOUND,
        *("codebook", "codebook_conf", "token_encoder", "token_encoder_conf"),
        *("backbone", "backbone_conf", "loss", "loss_conf", "tokenizer_config"),
        *("spk_embed_dim", "model_conf"),
    ),
    "vocoder": (
        *("feats_extract", "feats_extract_conf", "generator", "generator_conf"),
        *("discriminator", "discriminator_conf", "criterion", "criterion_conf"),
        *("model_conf",),
    ),
}


class Configs(Target):
    """A voice from files, one configuration of which is at fault."""

    name = "configurations of models"
    share = 6
    names = ("config.yaml",)

    def cases(self):
        canary = str(self.material.root.parent / "canary")

        def content(part: str):
            config = self.material.configs[part]
            return st.builds(
                Case, st.just(part), yaml_files(config, canary, BUILDS[part])
            )

        return st.one_of([content(part) for part in sorted(BUILDS)])

    def run(self, case: Case, folder: Path) -> None:
        path = folder / "config.yaml"
        path.write_bytes(case.content)
        tts = self.material.voice_with(case.kind, config=path)
        check_speech(tts("hello there."), tts)


class Durations(Target):
    """`load_duration`, and a voice that speaks with what it gives."""

    name = "durations and token lists"
    share = 5
    names = ("duration.yaml", "tokens.txt", "text")

    def __init__(self, material: Material):
        super().__init__(material)
        from espnet_fsqdiff.duration import ContextDuration

        texts = [[0, 2, 3, 4, 0], [0, 5, 6, 0]] * 3
        import numpy as np

        texts = [np.array(text) for text in texts]
        frames = [np.arange(1, len(text) + 1) for text in texts]
        table = material.tts.duration
        context = ContextDuration.fit(table.token_list, texts, frames, min_count=1)
        self.sound = {}
        for model in (table, context):
            path = material.root / f"{model.kind}.yaml"
            model.save(path)
            import yaml

            self.sound[model.kind] = yaml.safe_load(path.read_text(encoding="utf-8"))

    def cases(self):
        canary = str(self.material.root.parent / "canary")

        def content(kind: str):
            return st.builds(Case, st.just(kind), yaml_files(self.sound[kind], canary))

        return st.one_of([content(kind) for kind in sorted(self.sound)])

    def run(self, case: Case, folder: Path) -> None:
        from espnet_fsqdiff.duration import load_duration

        path = folder / "duration.yaml"
        path.write_bytes(case.content)
        tts = self.material.tts
        before = tts.duration
        try:
            tts.duration = load_duration(path, tts.text_tokenizer.token_list)
            check_speech(tts("hello there."), tts)
        finally:
            tts.duration = before


class TrainConfigs(Target):
    """`--config` of a training, up to where it would begin."""

    name = "configurations of training"
    share = 3

    def cases(self):
        canary = str(self.material.root.parent / "canary")

        def content(part: str):
            training = self.material.train_config(part)
            gan = part == "vocoder"
            optims = ("optim", "optim2") if gan else ("optim",)
            for i, optim in enumerate(optims):
                schedule = "scheduler" + (str(i + 1) if i else "")
                training.update(
                    {
                        optim: "adamw",
                        f"{optim}_conf": {"lr": 0.01},
                        schedule: "warmuplr",
                        f"{schedule}_conf": {"warmup_steps": 4},
                    }
                )
            config = {
                **training,
                "batch_type": "unsorted",
                "batch_size": 2,
                "max_epoch": 1,
                "best_model_criterion": [["valid", "loss", "min"]],
                "keep_nbest_models": 1,
                "accum_grad": 1,
                "grad_clip": 1.0,
            }
            return st.builds(Case, st.just(part), yaml_files(config, canary))

        return st.one_of([content(part) for part in sorted(BUILDS)])

    def run(self, case: Case, folder: Path) -> None:
        from benchmarks.fuzz.commanding import run_command

        path = folder / "train.yaml"
        path.write_bytes(case.content)
        task = self.material.tasks[case.kind]
        options = ["--config", str(path), "--output_dir", str(folder / "exp")]
        options += ["--dry_run", "true", "--num_workers", "0"]
        run_command(lambda: task.main(cmd=options))
