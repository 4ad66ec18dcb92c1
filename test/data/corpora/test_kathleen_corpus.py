"""Kathleen's two layouts, its download and its split."""

import csv
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_fsqdiff.bin import prepare_corpus
from espnet_fsqdiff.data.corpora import fetching
from espnet_fsqdiff.data.datadir import DataDir
from espnet_fsqdiff.errors import InputError

RECIPE = Path(__file__).parents[3] / "egs/kathleen/tts1"


def prepare(*options):
    prepare_corpus.main(["kathleen", *options])


PROMPTS = ["arctic_a0001", "arctic_a0002", "arctic_b0003", "arctic_b0004"]
WAVE = 0.1 * np.sin(np.arange(24000) / 20.0)


def metadata_layout(root):
    (root / "flac").mkdir(parents=True)
    lines = ["id\tpath\tseconds\tflag\ttext"]
    for prompt in [*PROMPTS, "arctic_b0005"]:
        soundfile.write(root / f"flac/{prompt}.flac", WAVE, 24000)
        flag = "takes_differ" if prompt == "arctic_b0005" else ""
        lines.append(f'{prompt}\tflac/{prompt}.flac\t1.0\t{flag}\tSay "{prompt}".')
    (root / "metadata.tsv").write_text("\n".join(lines) + "\n")


def takes_layout(root):
    (root / "data").mkdir(parents=True)

    def take(prompt, time, seconds):
        stem = root / f"data/{prompt}_{time}"
        soundfile.write(f"{stem}.wav", WAVE[: int(24000 * seconds)], 24000)
        stem.with_suffix(".txt").write_text(f'Say "{prompt}".\n')

    for prompt in PROMPTS:
        take(prompt, 1589759700, 0.9)
    # The last take counts; another prompt has takes too far apart.
    take(PROMPTS[0], 1589759800, 1.0)
    take("arctic_b0005", 1589759700, 0.5)
    take("arctic_b0005", 1589759800, 1.0)


@pytest.fixture
def lists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("local").mkdir()
    Path("local/valid.list").write_text("arctic_a0002\n")
    Path("local/test.list").write_text("arctic_b0003\n")


@pytest.mark.parametrize("layout", [metadata_layout, takes_layout])
def test_kathleen_layouts(lists, tmp_path, layout):
    layout(tmp_path / "corpus")
    prepare("--corpus_dir", "corpus")
    train = DataDir.read("data/train")
    assert list(train.wav) == ["kathleen_arctic_a0001", "kathleen_arctic_b0004"]
    assert train.text["kathleen_arctic_a0001"] == 'Say "arctic_a0001".'
    assert soundfile.info(train.wav["kathleen_arctic_a0001"]).duration == 1.0
    assert list(DataDir.read("data/valid").wav) == ["kathleen_arctic_a0002"]
    assert list(DataDir.read("data/test").wav) == ["kathleen_arctic_b0003"]


def test_kathleen_faults(lists, tmp_path):
    with pytest.raises(InputError, match="--corpus"):
        prepare("--corpus_dir", "corpus")
    metadata_layout(tmp_path / "corpus")
    Path("local/test.list").write_text("arctic_b0005\n")
    with pytest.raises(InputError, match="arctic_b0005"):
        prepare("--corpus_dir", "corpus")
    Path("local/test.list").write_text("arctic_a0002\n")
    with pytest.raises(InputError, match="arctic_a0002 is twice"):
        prepare("--corpus_dir", "corpus")


def zipped(root, archive, prefix="dataset-voice-kathleen-c51cb97/"):
    with zipfile.ZipFile(archive, "w") as z:
        for path in sorted(root.rglob("*")):
            z.write(path, prefix + str(path.relative_to(root)))


def test_kathleen_download(lists, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0)
    takes_layout(tmp_path / "upstream")
    zipped(tmp_path / "upstream", tmp_path / "c51cb97.zip")
    url = (tmp_path / "c51cb97.zip").as_uri()
    options = ["--shared_dir", "none", "--url", url]
    prepare(*options)
    assert len(DataDir.read("data/train")) == 2
    # Fetched once.
    (tmp_path / "c51cb97.zip").unlink()
    prepare(*options)
    shutil.rmtree("downloads")
    with pytest.raises(InputError, match="cannot be downloaded"):
        prepare(*options)


def test_kathleen_split_of_the_recipe():
    lists = [
        (RECIPE / f"local/{n}.list").read_text().split() for n in ("valid", "test")
    ]
    assert [len(x) for x in lists] == [45, 45]
    assert len(set(lists[0]) | set(lists[1])) == 90
    corpus = RECIPE / "../../../../shared/corpora/kathleen/metadata.tsv"
    if corpus.is_file():
        with open(corpus, encoding="utf-8", newline="") as f:
            rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
            usable = {r["id"] for r in rows if r["flag"] == ""}
        assert set(lists[0]) | set(lists[1]) <= usable
