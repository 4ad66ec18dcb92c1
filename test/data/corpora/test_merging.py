"""Tables merged in constant memory."""

import tracemalloc

import pytest

from espnet_fsqdiff.data.corpora import merging
from espnet_fsqdiff.data.corpora.merging import merge_speakers, merge_tables
from espnet_fsqdiff.errors import InputError


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("max_open", [2, 128])
def test_tables(tmp_path, monkeypatch, max_open):
    monkeypatch.setattr(merging, "MAX_OPEN", max_open)
    sources = [
        # `a_1` is before `aa` in the C locale, `a-1` before both.
        write(tmp_path / "1", "a_1 x y", "c \u00e9"),
        write(tmp_path / "2"),
        write(tmp_path / "3", "a-1 z", "aa 1"),
        write(tmp_path / "4", "b 2"),
        write(tmp_path / "5", "Z 0"),
    ]
    assert merge_tables(sources, tmp_path / "all") == 6
    lines = (tmp_path / "all").read_text(encoding="utf-8").splitlines()
    assert lines == ["Z 0", "a-1 z", "a_1 x y", "aa 1", "b 2", "c \u00e9"]
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("max_open", [2, 128])
def test_a_speaker_in_several_tables(tmp_path, monkeypatch, max_open):
    monkeypatch.setattr(merging, "MAX_OPEN", max_open)
    sources = [
        write(tmp_path / "1", "s1 s1_b s1_d", "s2 s2_a"),
        write(tmp_path / "2", "s1 s1_a s1_c"),
        write(tmp_path / "3", "s0 s0_a", "s1 s1_e"),
    ]
    assert merge_speakers(sources, tmp_path / "all") == 3
    lines = (tmp_path / "all").read_text().splitlines()
    assert lines == ["s0 s0_a", "s1 s1_a s1_b s1_c s1_d s1_e", "s2 s2_a"]


@pytest.mark.parametrize(
    "second, error",
    [(["a again"], "a would be there twice"), (["c 1", "b 2"], "b comes after c")],
)
def test_faults_leave_nothing(tmp_path, second, error):
    sources = [write(tmp_path / "1", "a 1"), write(tmp_path / "2", *second)]
    with pytest.raises(InputError, match=error):
        merge_tables(sources, tmp_path / "all")
    assert {p.name for p in tmp_path.iterdir()} == {"1", "2"}


def peak_bytes(folder, length):
    folder.mkdir()
    sources = [
        write(folder / str(n), *(f"{i:06d}_{n} {'x' * 80}" for i in range(length)))
        for n in range(4)
    ]
    tracemalloc.start()
    merge_tables(sources, folder / "all")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_tables(tmp_path):
    peak_bytes(tmp_path / "warm", 10)
    small = peak_bytes(tmp_path / "small", 300)
    large = peak_bytes(tmp_path / "large", 3000)  # 1.1 MB of text
    assert large < small + 50_000
