"""Every training configuration builds its model, and every decoding one is read."""

from pathlib import Path

import pytest
import yaml

from espnet_fsqdiff.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def configs(pattern):
    return sorted(
        path
        for top in ("egs", "conf")
        for path in (ROOT / top).glob(f"**/{pattern}")
        if "exp" not in path.relative_to(ROOT).parts
    )


CONFIGS, DECODING = configs("train*.yaml"), configs("decode*.yaml")


def name_of(path):
    return str(path.relative_to(ROOT))


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
    assert {"egs/vctk/tts1/conf/decode.yaml", "conf/decode_paper.yaml"} <= set(
        map(name_of, DECODING)
    )


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
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


MEL = dict(fs=24000, n_fft=1024, n_shift=256, n_mels=80, window="hann")


def decode(path, is_lm):
    """What `tts_inference --config` makes of the options, but for what needs a model.

    Raises:
        SystemExit: It has no such option.
        InputError: One of them is for another decoder or vocoder, or out of range.
    """
    from espnet_fsqdiff.bin import tts_inference
    from espnet_fsqdiff.chain_options import CHAIN_OPTIONS
    from espnet_fsqdiff.diffusion import Sampling
    from espnet_fsqdiff.lm import LMSampling
    from espnet_fsqdiff.manner import Manner, make_sampling
    from espnet_fsqdiff.text2speech import Text2Speech
    from espnet_fsqdiff.text.normalize import build_normalizer
    from espnet_fsqdiff.token2wav.loading import build_vocoder

    class Given(Exception):
        pass

    def given(*files, **options):
        raise Given(options)

    needed = "train_config model_file tokenizer_file duration_file data_dir output_dir"
    files = [word for name in needed.split() for word in (f"--{name}", "x")]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Given) as e:
        patch.setattr(Text2Speech, "from_files", given)
        tts_inference.main(["--config", str(path), *files])
    (options,) = e.value.args
    for name in ("device", "backend", "onnx_dir", "compile"):
        del options[name]
    build_normalizer(options.pop("normalizer"))
    chain = {name: options.pop(name) for name in CHAIN_OPTIONS}
    build_vocoder(chain["vocoder"], MEL, chain["vocoder_conf"])
    speed, seed = options.pop("speed"), options.pop("seed")
    return Manner(
        speed, seed, make_sampling(LMSampling if is_lm else Sampling, options)
    )


@pytest.mark.parametrize("path", DECODING, ids=name_of)
def test_decoding(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    manner = decode(path, is_lm="lm" in path.stem)
    assert manner.sampling.temperature == content["temperature"]


@pytest.mark.parametrize(
    "option",
    [
        dict(temprature=1.0),
        dict(num_steps=0),
        dict(top_k=25),
        dict(sampler_conf=dict(eta="x")),
        dict(vocoder="griffin"),
        dict(vocoder_conf=dict(num_iter=32)),
        dict(normalizer="spoken"),
    ],
    ids=lambda option: next(iter(option)),
)
def test_a_misspelt_option_of_decoding_is_refused(tmp_path, capsys, option):
    path = tmp_path / "decode.yaml"
    path.write_text(yaml.safe_dump({"vocoder": "griffin_lim", **option}))
    with pytest.raises((InputError, SystemExit)) as e:
        decode(path, is_lm=False)
    said = f"{e.value} {capsys.readouterr().err}"
    assert next(iter(option)) in said
