"""The diffusion task on made-up tokens: training, its average, its faults."""

import zlib

import numpy as np
import pytest
import torch
import yaml

from espnet_fsqdiff.data.datadir import write_table
from espnet_fsqdiff.diffusion import Sampling
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.cdcd import CDCDTask, TokenPreprocessor
from espnet_fsqdiff.tasks.common import load_model
from espnet_fsqdiff.text.tokenizer import TextTokenizer
from espnet_fsqdiff.token_io import read_int_table

SYMBOLS = ["<sos/eos>", "<space>", *"abcde"]

# Every expansion once and every head twice.
PAIRS = {
    "filler": "joint",
    "uniform": "factorized",
    "duration": "joint",
    "alignment": "factorized",
}


@pytest.fixture(scope="module", params=PAIRS)
def trained(request, token_data, tmp_path_factory):
    """Directory, text expansion and head of a training of one epoch."""
    expansion, head = request.param, PAIRS[request.param]
    exp = tmp_path_factory.mktemp(expansion) / "exp"
    config = dict(text_expansion=expansion, head=head)
    if expansion == "duration":
        config["duration_file"] = str(token_data.duration_file)
    if expansion != "filler":
        config["text_encoder_conf"] = dict(
            dim=16, num_layers=1, num_symbol_layers=1, place=True
        )
    CDCDTask.main(cmd=token_data.command(exp, **config))
    return exp, expansion, head


def load(exp):
    return load_model(CDCDTask, exp / "config.yaml", exp / "valid.loss.ave.pth")


def batch_of(token_data, args, names=("valid_0", "valid_1")):
    """What the task's own preprocessing and collating make of utterances."""
    preprocess = CDCDTask.build_preprocess_fn(args, train=False)
    laid = read_int_table(token_data.root / "valid" / "durations.txt")
    items = []
    for name in names:
        data = {
            "text": token_data.texts["valid"][name],
            "speech_token": token_data.tokens["valid"][name].astype(np.int32),
            "durations": laid[name],
        }
        items.append((name, preprocess(name, data)))
    names, batch = CDCDTask.build_collate_fn(args, train=False)(items)
    return dict(batch, utt_id=names)


def test_training_saves_what_can_be_loaded(trained):
    exp, expansion, head = trained
    model, args = load(exp)
    assert (args.text_expansion, args.head) == (expansion, head)
    assert args.token_list == SYMBOLS and args.tokenizer_config is None
    states = torch.load(exp / "1epoch.pth", weights_only=True)
    assert all(v.isfinite().all() for v in states.values())
    # Four steps: eight utterances in batches of two.
    assert model.ema.num_updates == 4


def test_the_batch_is_laid_out_as_asked(trained, token_data):
    exp, expansion, _ = trained
    _, args = load(exp)
    batch = batch_of(token_data, args)
    if expansion == "filler":
        assert "durations" not in batch
        return
    assert torch.equal(batch["durations"].sum(1), batch["speech_token_lengths"])
    if expansion == "alignment":
        laid = read_int_table(token_data.root / "valid" / "durations.txt")
        size = len(laid["valid_0"])
        assert batch["durations"][0, :size].tolist() == laid["valid_0"].tolist()
    if expansion == "uniform":
        real = batch["durations"][batch["durations"] > 0]
        assert real.max() - real.min() <= 1


@pytest.fixture(scope="module")
def switched(token_data, tmp_path_factory):
    """A training of two epochs with every further switch on."""
    exp = tmp_path_factory.mktemp("switched") / "exp"
    config = dict(
        text_expansion="uniform",
        head="pairwise",
        backbone_conf=dict(dim=32, depth=1, num_heads=2, self_conditioning=True),
        loss_conf=dict(self_conditioning=0.5, time_sampling="information"),
        model_conf=dict(
            cpu_autocast="off", valid_times=[0.2, 0.8], valid_rollout_steps=2
        ),
        best_model_criterion=[["valid", "rollout_accuracy", "max"]],
        accum_grad=2,
        max_epoch=2,
    )
    CDCDTask.main(cmd=token_data.command(exp, **config))
    return exp


@torch.no_grad()
def test_validation_scores_by_time_and_samples(switched, token_data):
    model, args = load_model(
        CDCDTask,
        switched / "config.yaml",
        switched / "valid.rollout_accuracy.ave.pth",
    )
    batch = batch_of(token_data, args)
    loss, stats, _ = model(**batch)
    by_time = [stats[f"loss_t{t:g}"] for t in (0.2, 0.8)]
    torch.testing.assert_close(loss, sum(by_time) / 2)
    assert torch.equal(loss, stats["loss"])
    accuracy = [stats[f"accuracy_t{t:g}"] for t in (0.2, 0.8)]
    torch.testing.assert_close(stats["accuracy"], sum(accuracy) / 2)

    names, lengths = batch["utt_id"], batch["speech_token_lengths"]
    sampled = model.generate(
        [x[:n] for x, n in zip(batch["text"], batch["text_lengths"])],
        lengths.tolist(),
        batch["durations"],
        seeds=[zlib.crc32(name.encode()) for name in names],
        sampling=Sampling(num_steps=2),
    )
    true = batch["speech_token"]
    share = [(x == y[: len(x)]).float().mean() for x, y in zip(sampled, true)]
    torch.testing.assert_close(stats["rollout_accuracy"].squeeze(), sum(share) / 2)


@torch.no_grad()
def test_training_learns_the_information_curve(switched, token_data):
    model, args = load_model(
        CDCDTask, switched / "config.yaml", switched / "2epoch.pth"
    )
    # Sixteen utterances, but for those whose text was withheld, a bit faded.
    assert 10 < model.information.weight.sum() <= 16
    batch = batch_of(token_data, args, ["valid_0"])
    options = dict(
        text=[batch["text"][0]],
        num_frames=batch["speech_token_lengths"].tolist(),
        durations=batch["durations"],
    )
    sampling = Sampling(num_steps=3, time_grid="information")
    seen = []
    times = model.information.times
    model.information.times = lambda n: seen.append(times(n)) or seen[-1]
    (tokens,) = model.generate(**options, sampling=sampling)
    assert len(tokens) == options["num_frames"][0]
    assert seen[0].shape == (4,) and seen[0][0] == 1 and seen[0][-1] == 0


def test_self_conditioning_needs_a_network_for_it(token_data, tmp_path):
    command = token_data.command(
        tmp_path / "exp", loss_conf=dict(self_conditioning=0.5)
    )
    with pytest.raises(InputError, match="needs backbone_conf: self_conditioning"):
        CDCDTask.main(cmd=command)


@torch.no_grad()
def test_validation_is_the_same_each_time(trained, token_data):
    exp, _, _ = trained
    model, args = load(exp)
    batch = batch_of(token_data, args)
    first, _, weight = model(**batch)
    torch.rand(3)
    second, _, _ = model(**batch)
    assert weight == 2 and first.isfinite()
    assert torch.equal(first, second)
    # An utterance's draw is its own, whatever stands beside it.
    alone = [
        model(**batch_of(token_data, args, [name]))[0]
        for name in ("valid_1", "valid_0")
    ]
    torch.testing.assert_close(sum(alone) / 2, first, atol=1e-4, rtol=1e-4)
    model.train()
    assert not torch.equal(model(**batch)[0], model(**batch)[0])


def test_the_average_is_in_the_checkpoint(trained):
    exp, _, _ = trained
    states = torch.load(exp / "1epoch.pth", weights_only=True)
    raw = {k for k in states if k.startswith("network.")}
    assert raw and {f"ema.{k}" for k in raw} < set(states)
    unequal = [k for k in raw if not torch.equal(states[k], states[f"ema.{k}"])]
    assert "network.head.linear.weight" in unequal


def generate(model, args):
    texts = [torch.tensor([0, 2, 3, 0]), torch.tensor([0, 4, 0])]
    laid = [torch.tensor([1, 5, 3, 1]), torch.tensor([2, 3, 1])]
    return model.generate(
        texts,
        [10, 6],
        None if args.text_expansion == "filler" else laid,
        sampling=Sampling(num_steps=3),
        seeds=[1, 2],
    )


@torch.no_grad()
def test_inference_and_validation_use_the_average(trained, token_data):
    exp, _, _ = trained
    model, args = load(exp)
    batch = batch_of(token_data, args)
    tokens, loss = generate(model, args), model(**batch)[0]
    assert [len(t) for t in tokens] == [10, 6]
    assert all(0 <= t.min() <= t.max() < 27 for t in tokens)
    torch.manual_seed(0)
    for p in model.network.parameters():
        p.normal_()
    again = generate(model, args)
    assert all(torch.equal(a, b) for a, b in zip(tokens, again))
    assert torch.equal(loss, model(**batch)[0])
    for p in model.ema.network.parameters():
        p.normal_()
    again = generate(model, args)
    assert not all(torch.equal(a, b) for a, b in zip(tokens, again))
    assert not torch.equal(loss, model(**batch)[0])


def test_shapes_are_collected(token_data, tmp_path):
    out = tmp_path / "stats"
    # Also without the duration file that training will ask for.
    CDCDTask.main(
        cmd=token_data.command(
            out, "--collect_stats", "true", text_expansion="duration"
        )
    )
    for name in ("train", "valid"):
        lines = (out / name / "speech_token_shape").read_text().splitlines()
        true = (token_data.root / name / "utt2num_tokens").read_text().splitlines()
        assert sorted(lines) == true
        shapes = (out / name / "text_shape").read_text().splitlines()
        assert {line.split()[1] for line in shapes} == {"8"}


def preprocess(expansion="filler", duration_file=None, **changes):
    data = {
        "text": "abc",
        "speech_token": np.array([0, 26, 3, 4, 5, 6, 7, 8], dtype=np.int32),
        "durations": np.array([1, 2, 2, 2, 1]),
        **changes,
    }
    data = {k: v for k, v in data.items() if v is not None}
    text_tokenizer = TextTokenizer("char", SYMBOLS)
    return TokenPreprocessor(text_tokenizer, 27, expansion, duration_file)(
        "utt_a", data
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(speech_token=np.array([3] * 7 + [27])), "outside the codebook 0..26"),
        (dict(speech_token=np.array([3] * 7 + [-1])), "outside the codebook 0..26"),
        (dict(speech_token=np.zeros(0, np.int32)), "speech tokens are none or"),
        (dict(text="abz"), "not in the token list: 'z'"),
        (dict(text=""), "is empty"),
        (dict(speech_token=np.array([3] * 4)), "5 symbols is longer than its 4 tokens"),
    ],
    ids=["too large", "negative", "none", "character", "no text", "long text"],
)
def test_faults_name_the_utterance(options, message):
    with pytest.raises(InputError, match=f"^utt_a: .*{message}"):
        preprocess(**options)


@pytest.mark.parametrize(
    "durations",
    [[1, 2, 2, 3], [1, 2, 2, 2, 2], [1, 2, 2, 2, 1, 0], [1, 2, 4, 2, -1]],
    ids=["few", "sum", "many", "negative"],
)
def test_wrong_durations_name_the_utterance(durations):
    with pytest.raises(InputError, match="^utt_a: its durations do not fit its text"):
        preprocess("alignment", durations=np.array(durations))


def test_text_too_long_for_its_tokens_names_the_utterance():
    with pytest.raises(InputError, match="^utt_a: .*5 symbols, 4 frames"):
        preprocess("uniform", speech_token=np.array([3] * 4))


def test_what_an_expansion_needs_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="alignment needs durations.txt"):
        preprocess("alignment", durations=None)
    with pytest.raises(InputError, match="duration needs --duration_file"):
        preprocess("duration")
    with pytest.raises(InputError, match="none.yaml: no such file"):
        preprocess("duration", str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match="'wild' is unknown"):
        preprocess("wild")


def test_faults_reach_the_user_of_the_task(token_data, tmp_path):
    """ESPnet's loaders hand even an empty text to the preprocessor."""
    for name, text in (("empty", ""), ("unknown", "abz")):
        texts = {**token_data.texts["train"], "train_5": text}
        write_table(tmp_path / name, texts)
        command = token_data.command(tmp_path / f"exp_{name}")
        command = [
            word.replace(f"{token_data.root}/train/text,", f"{tmp_path / name},")
            for word in command
        ]
        with pytest.raises(InputError, match="^train_5: "):
            CDCDTask.main(cmd=command)


@pytest.mark.parametrize("levels", [[3, 3, 3], [3, 3, 3, 3], [5, 5, 5]], ids=str)
def test_the_tokenizer_has_to_have_the_same_levels(token_data, tmp_path, levels):
    tokenizer = tmp_path / "tokenizer.yaml"
    tokenizer.write_text(yaml.safe_dump({"quantizer_conf": {"levels": levels}}))
    command = token_data.command(
        tmp_path / "exp",
        *("--tokenizer_config", tokenizer),
        *("--iterator_type", "none", "--dry_run", "true"),
    )
    if levels != [3, 3, 3]:
        with pytest.raises(InputError, match="the tokenizer's FSQ levels are"):
            CDCDTask.main(cmd=command)
        return
    CDCDTask.main(cmd=command)
    saved = yaml.safe_load((tmp_path / "exp" / "config.yaml").read_text())
    assert saved["tokenizer_config"] is None
