import itertools
import tracemalloc

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.joining import (
    FADE_SECONDS,
    LEAD_SECONDS,
    PAUSES,
    TAIL_SECONDS,
    Part,
    fade,
    join_waves,
    sound_bounds,
    speak_pieces,
    write_joined,
)
from espnet_fsqdiff.text.sentences import Piece, split_text

FS = 16000


def tone(lead=0.1, sound=0.5, tail=0.2, level=0.5, noise=1e-4):
    """A tone of 200 Hz between noise so faint that it counts as silence."""
    rng = np.random.default_rng(0)
    n = [round(seconds * FS) for seconds in (lead, sound, tail)]
    wav = noise * rng.standard_normal(sum(n))
    wav[n[0] : n[0] + n[1]] += level * np.cos(np.arange(n[1]) * 2 * np.pi * 200 / FS)
    return wav.astype(np.float32)


def join(*waves):
    parts = list(join_waves(waves, FS))
    return np.concatenate([part.samples for part in parts]), parts


def test_sound_bounds():
    start, end = sound_bounds(tone(), FS)
    assert (start, end) == (round(0.1 * FS), round(0.6 * FS))
    assert sound_bounds(tone(0, 0.105, 0), FS) == (0, round(0.105 * FS))


@pytest.mark.parametrize("boundary", PAUSES)
@pytest.mark.parametrize("lead, tail", [(0.0, 0.0), (0.02, 0.01), (0.2, 0.3)])
def test_silence_between_sounds_is_as_the_table_says(boundary, lead, tail):
    wav, parts = join((tone(0.1, 0.5, tail), boundary), (tone(lead, 0.5, 0.2), "end"))
    pause = max(PAUSES[boundary], min(lead, LEAD_SECONDS) + min(tail, TAIL_SECONDS))
    assert len(wav) == round((0.1 + 0.5 + pause + 0.5 + 0.2) * FS)
    assert [part.piece for part in parts if part.piece is not None] == [0, 1]
    # The sound itself is whole, but for the fades.
    fades = round(FADE_SECONDS * FS)
    middle = slice(round(0.1 * FS) + fades, round(0.6 * FS) - fades)
    assert np.array_equal(wav[middle], tone(0.1, 0.5, tail)[middle])


def test_pauses_grow_with_the_boundary():
    assert PAUSES["word"] < PAUSES["clause"] < PAUSES["sentence"] < PAUSES["paragraph"]


def test_no_clicks():
    # Waves that begin and end in full sound: unfaded, they would jump by 0.9.
    loud = (tone(0, 0.3, 0, 0.9, 0), "word")
    wav, _ = join(loud, loud, loud)
    steepest = np.abs(np.diff(loud[0])).max()
    rise = np.pi / 2 / (FADE_SECONDS * FS) * 0.9
    assert np.abs(np.diff(wav)).max() <= steepest + rise
    assert wav[0] == wav[-1] == 0
    assert np.abs(wav).max() <= 1


def test_one_wave_and_none():
    wav, parts = join((tone(), "end"))
    assert len(wav) == len(tone()) and len(parts) == 1
    assert list(join_waves([], FS)) == []
    assert len(fade(np.ones(3, np.float32), FS)) == 3


def test_too_loud_waves_are_scaled():
    wav, _ = join((tone(level=3.0), "end"))
    assert 0.9 < np.abs(wav).max() <= 1


@pytest.mark.parametrize("bad", [[], np.zeros(100), [0.1, np.nan], [np.inf, 0]])
def test_bad_waves_are_named(bad):
    with pytest.raises(InputError, match="^sentence 2: .*empty, silent or not finite"):
        list(join_waves([(tone(), "word"), (np.asarray(bad), "end")], FS))


def test_text_to_file(tmp_path):
    text = "The first sentence, said here. The second one!\n\nA new paragraph."
    asked = []

    def speak(texts):
        asked.append(texts)
        return [{"wav": tone(0.1, 0.01 * len(text), 0.1)} for text in texts]

    times = []
    path = tmp_path / "out.wav"
    waves = speak_pieces(split_text(text, 100), speak, batch_size=2)
    seconds = write_joined(
        path, join_waves(waves, FS), FS, lambda *args: times.append(args)
    )
    assert [len(batch) for batch in asked] == [2, 1]
    wav, fs = soundfile.read(path)
    assert fs == FS and len(wav) / fs == seconds
    sounds = 0.01 * sum(len(piece.text) for piece in split_text(text, 100))
    pauses = PAUSES["sentence"] + PAUSES["paragraph"]
    assert seconds == pytest.approx(0.1 + sounds + pauses + 0.1, abs=0.05)
    assert [piece for piece, _, _ in times] == [0, 1, 2]
    assert times[0][1] == 0 and times[-1][2] == seconds
    assert all(a[2] < b[1] for a, b in zip(times, times[1:]))


def test_speak_must_answer_each_piece():
    with pytest.raises(ValueError):
        list(speak_pieces([Piece("a", "end")], lambda texts: []))


def test_files_that_cannot_be(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="nothing to write"):
        write_joined(tmp_path / "a.wav", [], FS)
    with pytest.raises(InputError, match="name it .wav or .flac"):
        write_joined(tmp_path / "a.txt", [], FS)
    monkeypatch.setattr("espnet_fsqdiff.joining._MAX_WAV_BYTES", 1000)
    parts = [Part(np.zeros(300, np.float32), 0)] * 2
    assert write_joined(tmp_path / "b.flac", parts, FS) == 600 / FS
    with pytest.raises(InputError, match="name it .flac"):
        write_joined(tmp_path / "b.wav", parts, FS)
    # Nothing half written is left.
    assert [path.name for path in tmp_path.iterdir()] == ["b.flac"]


def test_constant_memory(tmp_path):
    wav = tone()

    def peak(times):
        waves = itertools.repeat((wav, "sentence"), times)
        tracemalloc.start()
        write_joined(tmp_path / "out.wav", join_waves(waves, FS), FS)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(60) < 1.2 * peak(4)
