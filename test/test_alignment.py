import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.alignment import (
    ctc_align,
    ctc_align_batch,
    expand_durations,
    frames_needed,
)
from espnet_fsqdiff.errors import InputError


def collapse(path):
    """What a CTC path says: runs merged, blanks (0) dropped."""
    return [k for k, _ in itertools.groupby(path) if k != 0]


def brute_force(log_probs, targets):
    """Durations by trying every path (log_probs (T, V), targets list)."""
    T, V = log_probs.shape
    best, best_score = None, float("-inf")
    for path in itertools.product(range(V), repeat=T):
        if collapse(path) == targets:
            score = sum(float(log_probs[t, k]) for t, k in enumerate(path))
            if score > best_score:
                best, best_score = path, score
    runs, t = [], 0
    for k, group in itertools.groupby(best):
        n = len(list(group))
        if k != 0:
            runs.append((t, t + n))
        t += n
    bounds = [0]
    for (_, end), (start, _) in zip(runs, runs[1:]):
        bounds.append((end + start) // 2)
    bounds.append(T)
    return [b - a for a, b in zip(bounds, bounds[1:])]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.data())
def test_as_brute_force(seed, T, data):
    V = 3
    targets = data.draw(st.lists(st.integers(1, V - 1), min_size=1, max_size=T))
    if frames_needed(torch.tensor(targets)) > T:
        targets = targets[:1]
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(T, V, generator=generator).log_softmax(-1)
    durations = ctc_align(log_probs, torch.tensor(targets))
    assert durations.dtype == torch.int64
    assert durations.tolist() == brute_force(log_probs, targets)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=20))
def test_sum_and_minimum(seed, targets):
    targets = torch.tensor(targets)
    generator = torch.Generator().manual_seed(seed)
    T = frames_needed(targets) + seed % 13
    durations = ctc_align(torch.randn(T, 5, generator=generator), targets)
    assert durations.sum() == T
    assert durations.min() >= 1


def test_boundary_in_the_middle_of_a_gap():
    # columns: blank, a, b; frames: blank a blank blank b b
    said = [0, 1, 0, 0, 2, 2]
    log_probs = torch.full((6, 3), -9.0)
    log_probs[range(6), said] = 0.0
    assert ctc_align(log_probs, torch.tensor([1, 2])).tolist() == [3, 3]


def test_repeat_takes_a_blank_between():
    log_probs = torch.zeros(3, 2)
    log_probs[:, 0] = -5.0  # the blank is dear, but "aa" needs one
    assert ctc_align(log_probs, torch.tensor([1, 1])).sum() == 3
    with pytest.raises(InputError, match="2 tokens need 3 frames, the speech has 2"):
        ctc_align(log_probs[:2], torch.tensor([1, 1]))


def test_other_blank_column():
    log_probs = torch.randn(7, 4).log_softmax(-1)
    moved = log_probs[:, [1, 2, 3, 0]]
    a = ctc_align(log_probs, torch.tensor([1, 3, 3]))
    b = ctc_align(moved, torch.tensor([0, 2, 2]), blank=3)
    assert a.tolist() == b.tolist()


def test_zero_probability_is_no_obstacle():
    log_probs = torch.full((5, 3), float("-inf"))
    log_probs[:, 1] = 0.0
    durations = ctc_align(log_probs, torch.tensor([1, 2]))
    assert durations.sum() == 5 and durations.min() >= 1


def test_batch_as_single_and_padding_is_not_looked_at():
    torch.manual_seed(0)
    lengths, target_lengths = torch.tensor([9, 4, 7]), torch.tensor([5, 1, 3])
    log_probs = torch.randn(3, 9, 6).log_softmax(-1)
    targets = torch.randint(1, 6, (3, 5))
    targets[0] = torch.tensor([1, 2, 3, 4, 5])
    for b, (T, S) in enumerate(zip(lengths, target_lengths)):
        log_probs[b, T:] = float("nan")
        targets[b, S:] = -1
    durations = ctc_align_batch(log_probs, lengths, targets, target_lengths)
    for b, (T, S) in enumerate(zip(lengths, target_lengths)):
        single = ctc_align(log_probs[b, :T], targets[b, :S])
        assert durations[b, :S].tolist() == single.tolist()
        assert durations[b, S:].sum() == 0


@pytest.mark.parametrize(
    "targets, T, message",
    [
        ([], 4, "u1: empty text"),
        ([1, 2, 3], 2, "u1: the text is longer than the frames can hold"),
        ([1, 9], 4, "u1: text id 9"),
        ([1, 0], 4, "u1: text id 0"),
    ],
)
def test_bad_input(targets, T, message):
    targets = torch.tensor([targets], dtype=torch.int64)
    with pytest.raises(InputError, match=message):
        ctc_align_batch(
            torch.zeros(1, T, 4),
            torch.tensor([T]),
            targets,
            torch.tensor([targets.shape[1]]),
            utt_ids=["u1"],
        )


def test_nan_is_an_error():
    with pytest.raises(InputError, match="NaN"):
        ctc_align(torch.full((3, 4), float("nan")), torch.tensor([1]))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=3
    ),
    st.integers(1, 20),
)
def test_expand_as_a_loop(rows, T):
    index, fraction = expand_durations(torch.tensor(rows), T)
    for row, i, f in zip(rows, index.tolist(), fraction.tolist()):
        want = [(s, (k + 0.5) / d) for s, d in enumerate(row) for k in range(d)]
        last = want[-1][0] if want else 0
        want += [(last, 1.0)] * T
        assert i == [w[0] for w in want[:T]]
        assert f == pytest.approx([w[1] for w in want[:T]])
