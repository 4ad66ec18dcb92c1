"""Every training configuration builds its model."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    path
    for top in ("egs", "conf")
    for path in (ROOT / top).glob("**/train*.yaml")
    if "exp" not in path.relative_to(ROOT).parts
)


def task_of(path):
    from espnet_fsqdiff.tasks.cdcd import CDCDTask
    from espnet_fsqdiff.tasks.fsq_tokenizer import FSQTokenizerTask
    from espnet_fsqdiff.tasks.token2mel import Token2MelTask
    from espnet_fsqdiff.tasks.token_lm import TokenLMTask
    from espnet_fsqdiff.tasks.vocoder import VocoderTask

    tasks = dict(
        cdcd=CDCDTask,
        lm=TokenLMTask,
        token2mel=Token2MelTask,
        tokenizer=FSQTokenizerTask,
        vocoder=VocoderTask,
    )
    return tasks[path.name.split("_")[1].removesuffix(".yaml")]


# These read no text.
TEXTLESS = ("token2mel", "vocoder")


def test_there_are_configurations():
    names = {path.name for path in CONFIGS}
    assert {"train_tokenizer_demo.yaml", "train_cdcd_demo.yaml"} <= names
    assert "train_token2mel.yaml" in names


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_dry_run(path, tmp_path):
    token_list = tmp_path / "tokens.txt"
    token_list.write_text("<sos/eos>\n<space>\na\nb\n", encoding="utf-8")
    reads_text = not path.name.startswith(tuple(f"train_{kind}" for kind in TEXTLESS))
    task_of(path).main(
        cmd=[
            *("--config", str(path), "--output_dir", str(tmp_path / "exp")),
            *(("--token_list", str(token_list)) if reads_text else ()),
            *("--iterator_type", "none", "--dry_run", "true"),
        ]
    )
    saved = yaml.safe_load((tmp_path / "exp" / "config.yaml").read_text())
    if reads_text:
        assert saved["token_list"] == ["<sos/eos>", "<space>", "a", "b"]
