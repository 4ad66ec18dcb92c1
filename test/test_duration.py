import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_fsqdiff.duration import (
    ContextDuration,
    DurationTable,
    boundary_error,
    length_error,
    load_duration,
    to_frames,
)
from espnet_fsqdiff.errors import InputError

NAMES = ["<sos/eos>", "<space>", "a", "no", "1", "é", "~", "unseen"]
TABLE = np.array([2.0, 1.0, 3.5, 2.25, 0.5, 4.0, 1.5])


def some_texts(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 7, rng.integers(5, 30)) for _ in range(n)]


def contextual(ids):
    """Frames that depend on the symbol before: a law no table can hold."""
    before = np.concatenate([[0], ids[:-1]])
    return 1 + ids + 4 * ((before + ids) % 2)


def aligned():
    texts = some_texts()
    return texts, [contextual(t) for t in texts]


def test_table_is_recovered():
    texts = some_texts()
    lengths = [TABLE[t].sum() for t in texts]
    table = DurationTable.fit(NAMES, texts, lengths, ridge=1e-3)
    np.testing.assert_allclose(table.values[:7], TABLE, atol=1e-3)
    assert table.total(texts[0]) == pytest.approx(lengths[0], rel=1e-3)
    assert length_error(table, texts, lengths) < 1e-3


def test_unseen_symbol_gets_the_mean_and_none_is_negative():
    texts = some_texts()
    lengths = [max(TABLE[t].sum() - 3 * (t == 4).sum(), 1) for t in texts]
    table = DurationTable.fit(NAMES, texts, lengths)
    mean = sum(lengths) / sum(map(len, texts))
    assert table.values[7] == pytest.approx(mean, rel=1e-6)
    assert table.values[4] == 0
    assert table.predict([4])[0] > 0


def test_table_is_the_ridge_least_squares_solution():
    texts = some_texts(30)
    rng = np.random.default_rng(1)
    lengths = np.array([TABLE[t].sum() for t in texts]) + rng.normal(0, 1, 30)
    table = DurationTable.fit(NAMES, texts, lengths, ridge=2.0)
    counts = np.array([np.bincount(t, minlength=8) for t in texts], dtype=float)
    mean = lengths.sum() / counts.sum()
    stacked = np.vstack([counts, np.sqrt(2.0) * np.eye(8)])
    target = np.concatenate([lengths, np.sqrt(2.0) * np.full(8, mean)])
    want = np.linalg.lstsq(stacked, target, rcond=None)[0]
    assert (want > 0).all()
    np.testing.assert_allclose(table.values, want, rtol=1e-6)


@pytest.mark.parametrize(
    "num_tokens, clip, want",
    [(10, None, 1.0), (20, None, 1.1), (2, None, 0.8), (20, (0.5, 3.0), 2.0)],
)
def test_kappa(num_tokens, clip, want):
    table = DurationTable(["a", "b"], np.array([2.0, 3.0]))
    clip = {} if clip is None else {"clip": clip}
    assert table.kappa(np.array([0, 0, 1, 1]), num_tokens, **clip) == want


def test_context_beats_the_table_on_unseen_texts():
    texts, durations = aligned()
    lengths = [d.sum() for d in durations]
    context = ContextDuration.fit(NAMES, texts[:150], durations[:150])
    table = DurationTable.fit(NAMES, texts[:150], lengths[:150])
    held = texts[150:], durations[150:]
    assert boundary_error(context, *held) < 0.2 < boundary_error(table, *held)
    assert length_error(context, texts[150:], lengths[150:]) < 0.01
    assert len(context.predict(texts[0])) == len(texts[0])


def test_context_scale_makes_the_sum_right():
    texts, durations = aligned()
    rng = np.random.default_rng(0)
    durations = [np.maximum(1, d * rng.integers(0, 3, len(d))) for d in durations]
    context = ContextDuration.fit(NAMES, texts, durations, transforms=["log"])
    context.length = None
    predicted = sum(context.total(t) for t in texts)
    assert predicted == pytest.approx(sum(d.sum() for d in durations), rel=1e-6)


def test_context_takes_the_total_from_a_table_where_the_alignment_is_poor():
    texts = some_texts()
    rng = np.random.default_rng(0)
    lengths = [int(2 * TABLE[t].sum()) for t in texts]
    # symbols of any length at all, but the right sum
    durations = [
        to_frames(rng.uniform(0.1, 9, len(t)), max(n, len(t)))
        for t, n in zip(texts, lengths)
    ]
    context = ContextDuration.fit(NAMES, texts[:150], durations[:150])
    table = DurationTable.fit(NAMES, texts[:150], [d.sum() for d in durations[:150]])
    assert context.length is not None
    for ids in texts[150:]:
        assert context.total(ids) == pytest.approx(table.total(ids))
    good = [contextual(t) for t in texts]
    assert ContextDuration.fit(NAMES, texts, good).length is None


def test_context_keeps_the_most_frequent_features():
    texts, durations = aligned()
    context = ContextDuration.fit(NAMES, texts, durations, max_features=20)
    assert len(context.keys) == 20
    assert np.isfinite(context.predict([7, 7])).all()


@pytest.mark.parametrize("kind", ["table", "context", "context with table"])
def test_save_and_load(tmp_path, kind):
    texts, durations = aligned()
    table = DurationTable.fit(NAMES, texts, [d.sum() for d in durations])
    model = table
    if kind != "table":
        model = ContextDuration.fit(NAMES, texts, durations)
        model.length = table if kind == "context with table" else None
    model.save(tmp_path / "duration.yaml")
    loaded = load_duration(tmp_path / "duration.yaml", NAMES)
    assert loaded.kind == kind.split()[0]
    for ids in [*texts[:20], np.array([7, 7, 7, 0])]:
        np.testing.assert_allclose(loaded.predict(ids), model.predict(ids), rtol=1e-3)
    assert [p.name for p in tmp_path.iterdir()] == ["duration.yaml"]


def test_load_names_what_is_wrong(tmp_path):
    path = tmp_path / "duration.yaml"
    with pytest.raises(InputError, match="duration.yaml: no such file"):
        load_duration(path)
    DurationTable(["a", "b"], np.array([1.0, 2.0])).save(path)
    with pytest.raises(InputError, match="has no symbol 'c'"):
        load_duration(path, ["a", "b", "c"])
    with pytest.raises(InputError, match="another order"):
        load_duration(path, ["b", "a"])
    good = yaml.safe_load(path.read_text())
    for change in (
        {"kind": "neural"},
        {"version": 99},
        {"frames": {"a": 1.0}},
        {"frames": {"a": 1.0, "b": -1.0}},
        {"frames": {"a": 1.0, "b": float("nan")}},
        {"frames": {"a": 1.0, "b": "long"}},
        {"token_list": None},
    ):
        path.write_text(yaml.safe_dump({**good, **change}))
        with pytest.raises(InputError, match="not a duration file"):
            load_duration(path)
    for text in ("", "[1, 2]", "kind: {", "!!python/object/apply:os.getcwd []"):
        path.write_text(text)
        with pytest.raises(InputError, match="not a duration file") as error:
            load_duration(path)
        assert "\n" not in str(error.value)


def test_bad_ids():
    table = DurationTable(["a"], np.array([1.0]))
    with pytest.raises(InputError, match="text id 1 "):
        table.predict(np.array([0, 1]))
    with pytest.raises(InputError, match="text id -1 "):
        table.predict(np.array([-1, 0]))
    with pytest.raises(InputError, match="empty"):
        table.predict(np.array([]))
    with pytest.raises(InputError, match="no utterances"):
        DurationTable.fit(["a"], [], [])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=40),
    st.integers(0, 200),
    st.integers(0, 3),
)
def test_to_frames_keeps_the_total_and_the_minimum(durations, more, min_frames):
    total = len(durations) + more
    frames = to_frames(np.array(durations), total, min_frames)
    assert frames.dtype == np.int64
    assert frames.sum() == total
    assert frames.min() >= min(min_frames, total // len(durations))


def test_to_frames_follows_the_proportions():
    frames = to_frames(np.array([1.0, 2.0, 3.0, 4.0]), 100)
    assert frames.tolist() == [10, 20, 30, 40]
    # rounding the ends spreads the remainder instead of piling it up
    assert to_frames(np.full(10, 1.5)).tolist() == [2, 1] * 5
    assert to_frames(np.array([0.1, 9.9]), 5).tolist() == [1, 4]
    assert to_frames(np.zeros(3), 7).sum() == 7


def test_to_frames_speed():
    durations = np.full(8, 4.0)
    assert to_frames(durations).sum() == 32
    assert to_frames(durations, speed=2.0).sum() == 16
    assert to_frames(durations, speed=100.0).tolist() == [1] * 8
    with pytest.raises(InputError, match="speed"):
        to_frames(durations, speed=0.0)


def test_text_longer_than_the_frames():
    with pytest.raises(InputError, match="3 symbols, 2 frames; shorten the text"):
        to_frames(np.ones(3), 2)
    with pytest.raises(InputError, match="empty"):
        to_frames(np.array([]))


@pytest.mark.parametrize("frames", [1e300, "1e400", None, "x", [], -1.0])
def test_durations_of_years_are_refused(tmp_path, frames):
    path = tmp_path / "duration.yaml"
    data = dict(kind="table", version=1, token_list=["a"], frames={"a": frames})
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(InputError, match="not a duration file|the text takes 1e.300"):
        to_frames(load_duration(path).predict(np.array([0])))
