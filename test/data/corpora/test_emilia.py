"""Emilia in miniature: tar and jsonl shards, what is left out, what is a fault."""

import io
import json
import tarfile
import tracemalloc
from pathlib import Path

import pytest
import soundfile

from espnet_fsqdiff.bin import prepare_corpus
from espnet_fsqdiff.data.corpora import shards
from espnet_fsqdiff.data.corpora.emilia import set_of
from espnet_fsqdiff.data.corpora.shards import read_shard
from espnet_fsqdiff.data.datadir import DataDir, read_table
from espnet_fsqdiff.errors import InputError

if "MP3" not in soundfile.available_formats():
    pytest.skip("libsndfile has no MP3", allow_module_level=True)

# One of each set with the shares below.
SPEAKERS = ("EN_B00000_S00004", "EN_B00000_S00005", "EN_B00000_S00007")
SHARES = ["--valid_share", "0.3", "--test_share", "0.3", "--min_seconds", "0.2"]


@pytest.fixture(scope="session")
def mp3(spoken):
    contents = []
    for wave in spoken:
        file = io.BytesIO()
        soundfile.write(file, wave, 16000, format="MP3")
        contents.append((file.getvalue(), len(wave) / 16000))
    return contents


def info_of(utt, seconds, **more):
    return {
        "id": utt,
        "wav": f"{utt[:9]}/{utt[:16]}/mp3/{utt}.mp3",
        "text": " It's 5 o'clock.",
        "duration": round(seconds, 3),
        "speaker": utt[:16],
        "language": "en",
        "dnsmos": 3.3697,
        **more,
    }


def tar_shard(path, samples):
    """Write samples (key, info, audio), either of which may be None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, info, audio in samples:
            text = None if info is None else json.dumps(info).encode()
            for suffix, content in ((".json", text), (".mp3", audio)):
                if content is not None:
                    member = tarfile.TarInfo(key + suffix)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def samples(mp3):
    """Two utterances of each speaker; the second speaker's are in two shards."""
    found = []
    for number in range(6):
        utt = f"{SPEAKERS[number // 2]}_W{number:06d}"
        audio, seconds = mp3[number % len(mp3)]
        found.append((utt, info_of(utt, seconds), audio))
    return found


@pytest.fixture
def tars(tmp_path, samples):
    root = tmp_path / "Emilia"
    tar_shard(root / "EN/EN-B000000.tar", samples[:3])
    tar_shard(root / "EN/EN-B000001.tar", samples[3:])
    return root


@pytest.fixture
def lists(tmp_path, samples):
    root = tmp_path / "raw/EN"
    for shard, part in (("EN_B00000", samples[:3]), ("EN_B00001", samples[3:])):
        for _, info, audio in part:
            path = root / info["wav"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(audio)
        lines = (json.dumps(info) + "\n" for _, info, _ in part)
        (root / f"{shard}.jsonl").write_text("".join(lines))
    return root.parent


def prepare(corpus, *options):
    prepare_corpus.main(["emilia", "--corpus", str(corpus), *SHARES, *options])


def read_sets():
    return {name: DataDir.read(f"data/{name}") for name in ("train", "valid", "test")}


def test_the_split_is_by_speaker_and_fixed():
    found = {speaker: set_of(f"{speaker}_W000000", 0.3, 0.3) for speaker in SPEAKERS}
    assert found == dict(zip(SPEAKERS, ("train", "valid", "test")))
    for speaker, name in found.items():
        assert {set_of(f"{speaker}_W{n:06d}", 0.3, 0.3) for n in range(9)} == {name}
    shares = [set_of(f"EN_B00000_S{n:05d}_W000000", 0.1, 0.2) for n in range(2000)]
    assert 150 < shares.count("valid") < 250 and 340 < shares.count("test") < 460


@pytest.mark.parametrize("layout", ["tars", "lists"])
def test_layouts(recipe, layout, request, samples):
    corpus = request.getfixturevalue(layout)
    for job in ("2", "1"):
        prepare(corpus, "--num_jobs", "2", "--job", job)
    prepare(corpus, "--merge", "true")
    sets = read_sets()
    assert {n: set(s.utt2spk.values()) for n, s in sets.items()} == {
        "train": {SPEAKERS[0]},
        "valid": {SPEAKERS[1]},
        "test": {SPEAKERS[2]},
    }
    utts = [utt for utt, _, _ in samples]
    assert read_table("data/valid/spk2utt") == {SPEAKERS[1]: " ".join(utts[2:4])}
    assert sets["train"].text[utts[0]] == "it's five o'clock."
    for data in sets.values():
        for utt, wav in data.wav.items():
            assert Path(wav).read_bytes() == samples[utts.index(utt)][2]
    assert json.loads(Path("data/stats.json").read_text())["utterances"] == 6


@pytest.mark.parametrize("where", ["Emilia", "Emilia/EN", "."])
def test_where_the_shards_may_be(recipe, tars, where):
    prepare(tars.parent / where)
    assert len(list(Path("data/shards").iterdir())) == 2


def test_a_shard_that_is_done_is_kept(recipe, tars, monkeypatch):
    prepare(tars)
    folder = Path("data/shards/EN-B000000")
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    # As a kill leaves it: audio of the second shard, but not its folder.
    (Path("data/shards/EN-B000001")).rename("data/shards/EN-B000001.tmp")
    (Path("downloads/emilia/EN-B000001.tmp")).mkdir()
    with pytest.raises(InputError, match="EN-B000001.tar: not done with these"):
        prepare(tars, "--merge", "true")
    prepare(tars)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    prepare(tars, "--merge", "true")
    assert sum(map(len, read_sets().values())) == 6
    names = {
        p.name for top in ("data/shards", "downloads") for p in Path(top).rglob("*")
    }
    assert not [name for name in names if name.endswith(".tmp")]


def test_other_options_or_another_shard_make_it_anew(recipe, tars, samples):
    prepare(tars)
    with pytest.raises(InputError, match="EN-B000000.tar: not done with these options"):
        prepare(tars, "--test_share", "0.2", "--merge", "true")
    prepare(tars, "--test_share", "0.2")
    prepare(tars)
    tar_shard(tars / "EN/EN-B000001.tar", samples[4:])
    with pytest.raises(InputError, match="EN-B000001.tar: not done with these options"):
        prepare(tars, "--merge", "true")
    prepare(tars)
    prepare(tars, "--merge", "true")
    assert sum(map(len, read_sets().values())) == 5


def test_a_file_that_is_no_utterance(recipe, tmp_path, samples, monkeypatch):
    tar_shard(tmp_path / "EN/EN-B000000.tar", samples)
    monkeypatch.setattr(shards, "MAX_FILE_BYTES", 400)
    with pytest.raises(InputError, match="W000000.mp3 has .* is no utterance"):
        prepare(tmp_path)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"language": "de"}, "language de"),
        ({"dnsmos": 2.1}, "dnsmos"),
        ({"text": "\u4f60\u597d"}, "text that cannot be spoken"),
        ({"text": " ... "}, "text that cannot be spoken"),
    ],
)
def test_what_is_left_out(recipe, tmp_path, samples, change, reason):
    samples[1][1].update(change)
    tar_shard(tmp_path / "EN/EN-B000000.tar", samples)
    prepare(tmp_path)
    prepare(tmp_path, "--merge", "true")
    assert samples[1][0] not in DataDir.read("data/train").wav
    stats = json.loads(Path("data/stats.json").read_text())
    assert stats == {"utterances": 5, "faults": 0, f"dropped, {reason}": 1}


def test_lengths_are_left_out(recipe, tars, samples):
    seconds = sorted(info["duration"] for _, info, _ in samples)
    options = ["--max_seconds", str(seconds[-1] - 0.05)]
    prepare(tars, *options)
    prepare(tars, *options, "--merge", "true")
    stats = json.loads(Path("data/stats.json").read_text())
    assert stats["utterances"] < 6 and stats["dropped, length"] >= 1


def broken(sample, fault):
    utt, info, audio = sample
    if fault == "no text":
        return utt, {**info, "text": "  "}, audio
    if fault == "no audio":
        return utt, info, None
    if fault == "no description":
        return utt, None, audio
    if fault == "damaged audio":
        return utt, info, b"\0" * 400
    if fault == "instead of":
        return utt, {**info, "duration": info["duration"] + 2}, audio
    if fault == "its duration is":
        return utt, {**info, "duration": "long"}, audio
    if fault == "its dnsmos is":
        return utt, {**info, "dnsmos": float("nan")}, audio
    if fault == "its speaker is":
        return utt, {**info, "speaker": "\ud800"}, audio
    return utt, {**info, "id": "../EN_B00000_S00000_W000001"}, audio


FAULTS = [
    *("no text", "no audio", "no description", "damaged audio", "instead of"),
    *("its duration is", "its dnsmos is", "its speaker is", "its id is"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(recipe, tmp_path, samples, fault):
    samples[1] = broken(samples[1], fault)
    tar_shard(tmp_path / "EN/EN-B000000.tar", samples)
    with pytest.raises(InputError, match=f"1 of 6 .* first {samples[1][0]}: .*{fault}"):
        prepare(tmp_path)
    assert not Path("data/shards/EN-B000000").exists()
    prepare(tmp_path, "--max_faults", "0.2")
    assert len(DataDir.read("data/shards/EN-B000000/train")) == 1
    faults = Path("data/shards/EN-B000000/faults.tsv").read_text()
    assert faults.startswith(f"{samples[1][0]}\t") and fault in faults


def test_faults_of_jsonl(recipe, lists):
    path = lists / "EN/EN_B00001.jsonl"
    path.write_text(path.read_text() + "{\n[1]\n\n" + "[" * 100_000)
    prepare(lists, "--max_faults", "0.5")
    faults = Path("data/shards/EN_B00001/faults.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in faults] == ["line 4", "line 5", "line 7"]


def test_an_utterance_in_two_shards(recipe, tars, samples):
    tar_shard(tars / "EN/EN-B000002.tar", samples[:1])
    prepare(tars)
    with pytest.raises(InputError, match=f"{samples[0][0]} would be there twice"):
        prepare(tars, "--merge", "true")


@pytest.mark.parametrize("cut", [1, 1024, 9000])
def test_a_shard_that_is_cut(recipe, tars, cut):
    path = tars / "EN/EN-B000001.tar"
    content = path.read_bytes().rstrip(b"\0")
    path.write_bytes(content[:-cut])
    with pytest.raises(InputError, match="EN-B000001.tar: cut short"):
        prepare(tars)
    assert Path("data/shards/EN-B000000").is_dir()
    path.write_bytes(b"x" * 5000 + b"\0" * 1024)
    with pytest.raises(InputError, match="EN-B000001.tar: damaged"):
        prepare(tars)


@pytest.mark.parametrize(
    "options, error",
    [
        (["--language", "DE"], "no folder DE"),
        (["--num_jobs", "2", "--job", "3"], "--job 3"),
        (["--valid_share", "0"], "above 0"),
        (["--merge", "true"], "not done"),
    ],
)
def test_wrong_options(recipe, tars, options, error):
    with pytest.raises(InputError, match=error):
        prepare(tars, *options)


def test_an_empty_set_is_an_error(recipe, tars):
    options = ["--valid_share", "1e-9"]
    prepare(tars, *options)
    with pytest.raises(InputError, match="valid: no utterance .* --valid_share"):
        prepare(tars, *options, "--merge", "true")


def test_no_shards_and_mixed_shards(recipe, tars):
    (tars / "FR").mkdir()
    with pytest.raises(InputError, match="neither .tar nor .jsonl"):
        prepare(tars, "--language", "FR")
    (tars / "EN/EN_B00000.jsonl").write_text("")
    with pytest.raises(InputError, match="mixed"):
        prepare(tars)


def test_a_tar_is_read_sample_by_sample(tmp_path):
    audio = b"x" * 500_000
    path = tmp_path / "EN-B000000.tar"
    tar_shard(path, [(f"EN_B00000_S00000_W{n:06d}", {}, audio) for n in range(8)])
    tracemalloc.start()
    assert sum(len(sample.audio) for sample in read_shard(path)) == 8 * len(audio)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(audio)
