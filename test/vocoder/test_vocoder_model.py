"""The GAN's turns: segments, the start of the discriminators, validation."""

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.vocoder.discriminators import Discriminators
from espnet_fsqdiff.vocoder.istft import ISTFTGenerator
from espnet_fsqdiff.vocoder.loss import VocoderLoss
from espnet_fsqdiff.vocoder.model import ESPnetVocoderModel

from .conftest import FS, HOP, N_MELS

PERIOD = dict(periods=[2, 3], channels=2, max_downsample_channels=8)
STFT = dict(filters=2, n_ffts=[256], hop_lengths=[64], win_lengths=[256])
SEGMENT = 20 * HOP


@pytest.fixture
def make(wave_mel):
    def make(**conf):
        torch.manual_seed(0)
        conf = {"segment_size": SEGMENT, "adversarial_size": 8 * HOP, **conf}
        return ESPnetVocoderModel(
            wave_mel,
            ISTFTGenerator(N_MELS, HOP, hidden_size=16, num_blocks=1),
            Discriminators(period=PERIOD, stft=STFT),
            VocoderLoss(FS, windows=(256, 512), n_mels=(10, 20)),
            **conf,
        )

    return make


def batch(waves, mels=None):
    pad = torch.nn.utils.rnn.pad_sequence
    names = dict(speech=waves) if mels is None else dict(speech=waves, feats=mels)
    made = {}
    for name, parts in names.items():
        made[name] = pad(parts, batch_first=True)
        made[f"{name}_lengths"] = torch.tensor([len(part) for part in parts])
    return made


def test_segments_are_a_mel_and_its_wave(make, wave_mel, waves):
    model = make()
    torch.manual_seed(3)
    mel, real = model.segments(waves, None)
    assert mel.shape == (3, 20, N_MELS) and real.shape == (3, SEGMENT)
    for part, wave, whole in zip(mel, real, waves):
        starts = [
            s
            for s in range(0, len(whole) - SEGMENT + 1, HOP)
            if torch.equal(whole[s : s + SEGMENT], wave)
        ]
        assert len(starts) == 1
        true = wave_mel.whole(whole)[starts[0] // HOP :][:20]
        torch.testing.assert_close(part, true, atol=1e-4, rtol=0)


def test_segments_reach_the_last_whole_frame(make):
    """Of a wave one frame longer than a segment both frames are first ones."""
    model, wave = make(), torch.rand(SEGMENT + HOP + 5) - 0.5
    found = {model.segments([wave], None)[1][0, 0].item() for _ in range(30)}
    assert found == {wave[0].item(), wave[HOP].item()}


def test_short_utterances_are_followed_by_silence(make, wave_mel):
    short = torch.rand(5 * HOP) - 0.5
    mel, real = make().segments([short], None)
    assert torch.equal(real[0, : len(short)], short) and not real[0, len(short) :].any()
    given = wave_mel.whole(short)
    own, _ = make().segments([short], [given])
    assert torch.equal(own[0, :6], given)
    torch.testing.assert_close(own[0, 10:], mel[0, 10:])


def test_given_mels_are_the_input(make, waves):
    frames = [len(wave) // HOP + 1 for wave in waves]
    mels = [
        100.0 * i + torch.arange(n).float()[:, None].expand(-1, N_MELS)
        for i, n in enumerate(frames)
    ]
    mel, real = make().segments(waves, mels)
    for i, (part, wave) in enumerate(zip(mel, real)):
        start = int(part[0, 0]) - 100 * i
        assert torch.equal(part, mels[i][start : start + 20])
        assert torch.equal(wave, waves[i][start * HOP :][:SEGMENT])


def turn(model, generator, waves):
    model.zero_grad()
    out = model(**batch(waves), forward_generator=generator)
    out["loss"].backward()
    return out


def given_gradient(module):
    return [p for p in module.parameters() if p.grad is not None]


def test_each_turn_trains_its_own_network(make, waves):
    model = make()
    out = turn(model, True, waves)
    assert out["optim_idx"] == 0 and out["weight"] == 3
    assert {"generator_loss", "spectral_loss", "adversarial_loss", "feature_loss"} == (
        set(out["stats"])
    )
    assert all(p.grad.abs().sum() > 0 for p in model.network.parameters())
    assert not given_gradient(model.discriminator)
    out = turn(model, False, waves)
    assert out["optim_idx"] == 1
    assert set(out["stats"]) == {"discriminator_loss", "real_loss", "made_loss"}
    assert not given_gradient(model.network)
    assert len(given_gradient(model.discriminator)) == len(
        list(model.discriminator.parameters())
    )
    assert not given_gradient(model.ema)


def test_discriminators_wait_for_their_start(make, waves):
    model = make(discriminator_start=2)
    for step in range(3):
        started = step == 2
        assert model.adversarial == started
        out = turn(model, False, waves)
        if not started:
            # Touched in one place, by nothing.
            touched = given_gradient(model.discriminator)
            assert len(touched) == 1 and not touched[0].grad.any()
            assert out["loss"] == 0 and not out["stats"]
        out = turn(model, True, waves)
        assert ("adversarial_loss" in out["stats"]) == started
        assert not given_gradient(model.discriminator)
        model.update_ema()


def test_the_discriminators_move_the_generator(make, waves):
    """Through weights that get no gradient themselves."""
    gradients = []
    for start in (0, 1000):
        model = make(discriminator_start=start)
        torch.manual_seed(0)
        turn(model, True, waves)
        gradients.append(model.network.head.weight.grad)
    assert not torch.allclose(*gradients)


def test_distributed_turns(make, waves, tmp_path):
    """Every backward pass is closed by all weights, whoever's turn it is."""
    from torch import distributed

    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        alone = make(discriminator_start=1)
        model = torch.nn.parallel.DistributedDataParallel(
            alone, find_unused_parameters=True
        )
        for _ in range(2):
            turn(model, False, waves)
            turn(model, True, waves)
            alone.update_ema()
    finally:
        distributed.destroy_process_group()
    assert alone.adversarial and len(given_gradient(alone.network)) == len(
        list(alone.network.parameters())
    )


def test_a_discriminator_sees_part_of_a_segment(make, waves, monkeypatch):
    model, seen = make(), []
    forward = model.discriminator.forward
    monkeypatch.setattr(
        model.discriminator, "forward", lambda x: seen.append(x) or forward(x)
    )
    torch.manual_seed(0)
    model(**batch(waves), forward_generator=True)
    assert [x.shape for x in seen] == [(3, 8 * HOP)] * 2


def test_the_average_is_validated_the_same_in_any_batch(make, waves):
    model = make().eval()
    with torch.no_grad():
        torch.nn.init.normal_(model.network.head.weight)  # not what is averaged
        whole = model(**batch(waves))["stats"]
        single = [model(**batch([wave]))["stats"] for wave in waves]
        again = model(**batch(waves))["stats"]
        assert whole == again and set(whole) == {"mel_loss", "spectral_loss"}
        for key, value in whole.items():
            mean = torch.stack([stats[key] for stats in single]).mean()
            torch.testing.assert_close(value.squeeze(), mean)
        # A made wave equal to the true one is at no distance.
        model.ema.network.waves = lambda mels: waves
        assert model(**batch(waves))["stats"]["mel_loss"] == 0


def test_the_generator_learns(make, waves):
    model = make(discriminator_start=1000, segment_size=30 * HOP)
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        losses.append(turn(model, True, waves)["stats"]["spectral_loss"].item())
        optimizer.step()
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


@pytest.mark.parametrize(
    "conf, message",
    [
        (dict(segment_size=SEGMENT + 1), "segment_size 3201"),
        (dict(adversarial_size=2 * SEGMENT), "adversarial_size 6400 is more than"),
    ],
)
def test_sizes_have_to_fit(make, conf, message):
    with pytest.raises(InputError, match=message):
        make(**conf)


@pytest.mark.parametrize(
    "conf",
    [
        dict(period=PERIOD, stft=None),
        dict(period=None, stft=STFT),
        dict(period=None, stft=None, scale=dict(scales=2, channels=16)),
    ],
    ids=["period", "stft", "scale"],
)
def test_every_discriminator_alone(conf):
    outputs = Discriminators(**conf)(torch.randn(2, 4000))
    assert all(len(layers) > 2 for layers in outputs)
    assert all(layer.isfinite().all() for layers in outputs for layer in layers)


def test_no_discriminator_is_refused():
    with pytest.raises(InputError, match="are all null; give one"):
        Discriminators(period=None, stft=None)


@pytest.mark.parametrize(
    "conf, message",
    [
        (dict(windows=[256], n_mels=[10, 20]), "1 windows but 2 n_mels"),
        (dict(adversarial="none"), "'none' is not mse or hinge"),
    ],
)
def test_losses_have_to_fit(conf, message):
    with pytest.raises(InputError, match=message):
        VocoderLoss(FS, **conf)


def test_the_spectral_loss_is_in_twenty_decibels():
    wave = torch.randn(1, 8000)
    loss = VocoderLoss(FS).spectral(wave, 10 * wave)
    torch.testing.assert_close(loss, torch.tensor(1.0), atol=0.01, rtol=0)
