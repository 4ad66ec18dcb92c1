"""Augmentation of mels, and the mel loss over squares."""

import torch
from espnet2.asr.specaug.specaug import SpecAug

from espnet_fsqdiff.tokenizer.augment import MelAugment
from espnet_fsqdiff.tokenizer.model import mel_l1


def ramp(lengths, bands=5):
    """Mels whose value is the frame number, zero on padded frames."""
    frames = torch.arange(max(lengths)).float()
    mel = frames.view(1, -1, 1).repeat(len(lengths), 1, bands)
    for row, length in zip(mel, lengths):
        row[length:] = 0
    return mel, torch.tensor(lengths)


def test_without_shift_and_stretch_nothing_changes():
    mel, lengths = ramp([40, 17, 1])
    out, out_lengths = MelAugment().warp(mel, lengths)
    assert torch.equal(out, mel) and torch.equal(out_lengths, lengths)


def test_shift_cuts_whole_frames_off_the_start():
    torch.manual_seed(0)
    augment, seen = MelAugment(shift=3), set()
    for _ in range(40):
        out, lengths = augment.warp(*ramp([20, 2, 1]))
        first = [int(row[0, 0]) for row in out]
        assert lengths.tolist() == [20 - first[0], 2 - first[1], 1]
        assert torch.equal(out[0, : lengths[0], 0], torch.arange(first[0], 20.0))
        seen.add(first[0])
    assert seen == {0, 1, 2, 3}


def test_stretch_keeps_both_ends_and_changes_the_length():
    torch.manual_seed(0)
    augment, found = MelAugment(stretch=0.2), []
    for _ in range(40):
        out, lengths = augment.warp(*ramp([100]))
        row = out[0, :, 0]
        assert row[0] == 0 and abs(row[lengths[0] - 1] - 99) < 1.3
        assert (row.diff() >= 0).all() and row.diff().max() < 1.21
        found.append(lengths.item())
    assert min(found) < 90 and max(found) > 110


def test_padding_stays_zero():
    torch.manual_seed(0)
    out, lengths = MelAugment(shift=3, stretch=0.1).warp(*ramp([50, 20]))
    assert not out[1, lengths[1] :].any()


def test_masks_are_for_the_input_only():
    torch.manual_seed(0)
    specaug = SpecAug(
        apply_time_warp=False, freq_mask_width_range=[2, 3], time_mask_width_range=3
    )
    augment = MelAugment(specaug=specaug)
    mel, lengths = torch.ones(2, 30, 20), torch.tensor([30, 30])
    warped, _ = augment.warp(mel, lengths)
    assert torch.equal(warped, mel)
    assert (augment.mask(mel, lengths) == 0).any()
    assert mel.all()


def test_mel_loss_over_squares_forgets_what_cancels():
    frames = torch.tensor([8, 5])
    checker = torch.ones(2, 8, 6)
    checker[:, ::2] *= -1
    checker[1, 5:] = 0
    assert torch.isclose(mel_l1(checker, frames, 1), torch.tensor(1.0))
    assert mel_l1(checker[:1], frames[:1], 2) == 0
    # Nothing cancels: every square has an error of 1, the last half one too.
    assert torch.isclose(mel_l1(checker.abs(), frames, 2), torch.tensor(1.0))
    # Of five frames only the last, alone in its square, has none to cancel it.
    assert torch.isclose(mel_l1(checker[1:], frames[1:], 2), torch.tensor(1 / 3))


def test_mel_loss_does_not_see_padding():
    error = torch.randn(1, 7, 10, generator=torch.Generator().manual_seed(0))
    frames = torch.tensor([7])
    for scale in (1, 2, 4, 8):
        alone = mel_l1(error, frames, scale)
        for more in (1, 9):
            padded = torch.nn.functional.pad(error, (0, 0, 0, more))
            assert torch.isclose(alone, mel_l1(padded, frames, scale))
