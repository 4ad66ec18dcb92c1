import json
import os
import signal
import subprocess
import sys
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest

from espnet_fsqdiff.bin.extract_tokens import extract, get_parser, main
from espnet_fsqdiff.data.datadir import DataDir, read_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.token_io import read_counts, read_int_table, read_tokens

FS, NUM_CODES = 8000, 27
SYMBOLS = ["<sos/eos>", " ", *"abcdefghij"]


class FakeText:
    token_list = SYMBOLS

    def encode(self, text, utt_id=None):
        return np.array([0, *(SYMBOLS.index(c) for c in text), 0])


class FakeTokenizer:
    """Tokens that are a function of the wave; dies at one utterance if told so."""

    fs, rate_hz, num_codes, has_ctc = FS, 25.0, NUM_CODES, True
    text_tokenizer = FakeText()
    loaded = 0
    encoded = []
    shift = 0

    @classmethod
    def from_pretrained(cls, train_config, model_file, device):
        assert train_config.is_file() and model_file.is_file() and device == "cpu"
        cls.loaded += 1
        return cls()

    def encode_batch(self, wavs, fs, utt_ids=None, return_ctc=False):
        import torch

        assert fs == FS
        if os.environ.get("DIE_AT") in utt_ids:
            os.kill(os.getpid(), signal.SIGKILL)
        self.encoded.extend(utt_ids)
        tokens, log_probs = [], []
        for w in wavs:
            frames = w[: len(w) // 320 * 320].reshape(-1, 320)
            t = (np.abs(frames).sum(1) * 1000).astype(np.int64) % NUM_CODES
            tokens.append(torch.from_numpy(t + self.shift))
            columns = torch.arange(len(SYMBOLS) + 1)
            noise = torch.sin(tokens[-1][:, None] * (columns + 1.0))
            log_probs.append(noise.log_softmax(-1))
        return (tokens, log_probs) if return_ctc else tokens


def make_data_dir(path, num_utts, seed):
    rng = np.random.default_rng(seed)
    data = DataDir({}, {}, {})
    (path / "audio").mkdir(parents=True)
    for i in range(num_utts):
        utt = f"{path.name}-{i:03d}"
        name = path / "audio" / f"{utt}.wav"
        samples = rng.integers(-9000, 9000, rng.integers(6000, 9000), dtype=np.int16)
        with wave.open(str(name), "wb") as f:
            f.setnchannels(1), f.setsampwidth(2), f.setframerate(FS)
            f.writeframes(samples.tobytes())
        data.wav[utt], data.utt2spk[utt] = str(name), "s"
        data.text[utt] = "".join(rng.choice(SYMBOLS[2:], 5)) + " a"
    data.write(path)


@pytest.fixture
def recipe(tmp_path):
    make_data_dir(tmp_path / "train", 23, 0)
    make_data_dir(tmp_path / "valid", 3, 1)
    (tmp_path / "config.yaml").write_text("a: 1\n")
    (tmp_path / "model.pth").write_bytes(b"weights")
    FakeTokenizer.encoded.clear()
    FakeTokenizer.loaded = 0
    return tmp_path


def options(recipe, out="tokens", **more):
    cmd = ["--train_config", recipe / "config.yaml", "--model_file"]
    cmd += [recipe / "model.pth", "--data_dirs", recipe / "train", recipe / "valid"]
    cmd += ["--output_root", recipe / out, "--batch_size", 2, "--chunk_size", 4]
    cmd += [x for k, v in more.items() for x in (f"--{k}", v)]
    return [str(x) for x in cmd]


def run(recipe, tokenizer=FakeTokenizer, **more):
    args = get_parser().parse_args(options(recipe, **more))
    extract(args, tokenizer.from_pretrained)


def run_all(recipe, num_jobs=2, **more):
    for job in range(1, num_jobs + 1):
        run(recipe, num_jobs=num_jobs, job=job, **more)
    run(recipe, num_jobs=num_jobs, merge="true", **more)


def contents(root):
    """Every file below `root`; in scp files `root` itself is cut out."""
    found = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        if path.name == "tokens.sha256":
            continue  # of a table that names `root`
        found[str(path.relative_to(root))] = path.read_bytes().replace(
            str(root).encode(), b"ROOT"
        )
    return found


def test_whole_run(recipe):
    run_all(recipe)
    for name, size in (("train", 23), ("valid", 3)):
        out, data = recipe / "tokens" / name, DataDir.read(recipe / name)
        tokens = read_tokens(out / "tokens.scp", NUM_CODES)
        assert list(tokens) == sorted(data.wav) and len(tokens) == size
        as_text = read_tokens(out / "tokens.txt")
        durations = read_int_table(out / "durations.txt")
        numbers = read_table(out / "utt2num_tokens")
        assert list(as_text) == list(durations) == list(numbers) == list(tokens)
        for utt, array in tokens.items():
            assert array.tolist() == as_text[utt].tolist()
            assert len(array) == int(numbers[utt]) == durations[utt].sum()
            assert len(durations[utt]) == len(data.text[utt]) + 2
            wav = np.frombuffer(Path(data.wav[utt]).read_bytes()[44:], dtype=np.int16)
            alone = FakeTokenizer().encode_batch(
                [wav.astype(np.float32) / 32768], FS, [utt]
            )
            assert array.tolist() == alone[0].tolist()
        counts = read_counts(out / "counts.txt")
        stats = json.loads((out / "stats.json").read_text())
        assert counts.sum() == stats["num_tokens"] == sum(map(len, tokens.values()))
        assert stats["num_utts"] == size and stats["codebook_size"] == NUM_CODES
        assert stats["used_codes"] == (counts > 0).sum()
        assert not list(out.glob("*.tmp.*"))
        sums = out / "tokens.sha256"
        listed = {line.split()[1] for line in sums.read_text().splitlines()}
        notes = {str(path) for path in out.glob("*.json") if path.stem != "stats"}
        assert listed == {str(p) for p in out.iterdir() if p != sums} - notes
        done = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", sums])
        assert done.returncode == 0


def test_killed_job_resumes_without_loss_or_doubling(recipe):
    env = {**os.environ, "DIE_AT": "train-018", "OMP_NUM_THREADS": "1"}
    root = str(Path(__file__).parents[1])
    env["PYTHONPATH"] = os.pathsep.join([root, env.get("PYTHONPATH", "")])
    cmd = [sys.executable, __file__, *options(recipe, num_jobs=2, job=2)]
    killed = subprocess.run(cmd, env=env, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # job 2 has train-011 .. 022 in chunks of 4: the first is whole, no other
    train = recipe / "tokens" / "train"
    assert sorted(p.name for p in train.iterdir()) == [
        "tokens.2.1.ark",
        "tokens.2.1.json",
    ]
    with pytest.raises(InputError, match="(?s)19 utterances.*run job 1, 2 of"):
        run(recipe, num_jobs=2, merge="true")

    # what a kill in the middle of writing leaves
    (train / "tokens.2.2.tmp.123.ark").write_bytes(b"half")
    (train / "tokens.2.3.ark").write_bytes(b"an archive without its note")
    run(recipe, num_jobs=2, job=2)
    assert sorted(u for u in FakeTokenizer.encoded if u.startswith("train")) == [
        f"train-{i:03d}" for i in range(15, 23)
    ]
    run(recipe, num_jobs=2, job=1)
    run(recipe, num_jobs=2, merge="true")
    run_all(recipe, out="undisturbed")
    assert contents(recipe / "tokens") == contents(recipe / "undisturbed")


def test_finished_work_is_not_done_again(recipe):
    run_all(recipe)
    before, loaded = contents(recipe / "tokens"), FakeTokenizer.loaded
    run_all(recipe)
    assert FakeTokenizer.loaded == loaded
    assert contents(recipe / "tokens") == before


@pytest.mark.parametrize("what", ["model", "config", "audio", "text", "fewer", "batch"])
def test_parts_made_otherwise_are_not_reused(recipe, what):
    run_all(recipe)
    FakeTokenizer.encoded.clear()
    batch_size, again = 2, 26
    if what == "model":
        (recipe / "model.pth").write_bytes(b"other weights")
    elif what == "config":
        (recipe / "config.yaml").write_text("a: 2\n")
    elif what == "batch":
        batch_size = 3
    else:
        data = DataDir.read(recipe / "train")
        if what == "audio":
            Path(data.wav["train-000"]).write_bytes(
                Path(data.wav["train-001"]).read_bytes()
            )
            again = 4
        elif what == "text":
            data.text["train-000"] = "b"
            again = 4
        else:
            data, again = data.subset(list(data.wav)[1:]), 22
        data.write(recipe / "train")
    with pytest.raises(InputError, match="utterances have no tokens"):
        run(recipe, num_jobs=2, merge="true", batch_size=batch_size)
    run_all(recipe, batch_size=batch_size)
    assert len(FakeTokenizer.encoded) == again
    tokens = read_tokens(recipe / "tokens" / "train" / "tokens.scp")
    assert list(tokens) == sorted(DataDir.read(recipe / "train").wav)


def test_other_number_of_jobs_leaves_nothing_stale(recipe):
    run_all(recipe, num_jobs=4)
    run_all(recipe, num_jobs=1)
    run_all(recipe, num_jobs=1, out="undisturbed")
    assert contents(recipe / "tokens") == contents(recipe / "undisturbed")


def test_damaged_archive_is_made_again(recipe):
    run_all(recipe)
    before = contents(recipe / "tokens")
    ark = recipe / "tokens" / "train" / "tokens.1.1.ark"
    ark.write_bytes(ark.read_bytes()[:-8])
    with pytest.raises(InputError, match="run job 1 of"):
        run(recipe, num_jobs=2, merge="true")
    run_all(recipe)
    assert contents(recipe / "tokens") == before


def test_tokens_scp_goes_while_a_set_is_made_again(recipe):
    run_all(recipe)
    (recipe / "model.pth").write_bytes(b"other weights")
    run(recipe, num_jobs=2, job=1)
    assert not (recipe / "tokens" / "train" / "tokens.scp").exists()


def test_without_recognition_head_there_are_no_durations(recipe):
    run_all(recipe)
    (recipe / "model.pth").write_bytes(b"no head")

    class NoHead(FakeTokenizer):
        has_ctc, text_tokenizer = False, None

    run_all(recipe, tokenizer=NoHead)
    assert not (recipe / "tokens" / "train" / "durations.txt").exists()
    assert len(read_tokens(recipe / "tokens" / "train" / "tokens.scp")) == 23


def test_more_jobs_than_utterances(recipe):
    run_all(recipe, num_jobs=30)
    assert len(read_tokens(recipe / "tokens" / "valid" / "tokens.scp")) == 3


def test_a_job_leaves_the_audio_of_others_alone(recipe):
    (recipe / "train" / "audio" / "train-022.wav").unlink()  # job 2 has it
    run(recipe, num_jobs=2, job=1)
    assert len(FakeTokenizer.encoded) == 12
    message = "wav.scp: utterance train-022 names .*, which does not exist"
    for more in ({"job": 2}, {"merge": "true"}):
        with pytest.raises(InputError, match=message):
            run(recipe, num_jobs=2, **more)
    assert len(FakeTokenizer.encoded) == 12  # said before any work


def test_memory_of_the_merge_does_not_grow_with_the_tokens(tmp_path, recipe):
    num_utts, num_tokens = 100, 5000

    class Verbose(FakeTokenizer):
        has_ctc, text_tokenizer = False, None

        def encode_batch(self, wavs, fs, utt_ids=None):
            return [np.arange(num_tokens) % NUM_CODES for _ in wavs]

    make_data_dir(tmp_path / "many", num_utts, 2)
    more = {"data_dirs": tmp_path / "many", "num_jobs": 1}
    run(recipe, Verbose, **more)
    tracemalloc.start()
    try:
        run(recipe, Verbose, merge="true", **more)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    stats = json.loads((recipe / "tokens" / "many" / "stats.json").read_text())
    assert stats["num_tokens"] == num_utts * num_tokens
    assert peak < 2 * num_utts * num_tokens  # less than two bytes for each


def test_faults_name_the_utterance(recipe):
    class Outside(FakeTokenizer):
        shift = NUM_CODES

    with pytest.raises(InputError, match=r"train-0\d\d: token \d+ is outside"):
        run(recipe, tokenizer=Outside)
    data = DataDir.read(recipe / "train")
    data.text["train-002"] = "ab" * 30
    data.write(recipe / "train")
    with pytest.raises(InputError, match="train-002: the text is longer than"):
        run(recipe)
    Path(data.wav["train-001"]).write_bytes(b"RIFF")
    with pytest.raises(InputError, match="train-001: .*damaged"):
        run(recipe)


def test_bad_options(recipe):
    with pytest.raises(InputError, match="--job 3: give 1 to"):
        run(recipe, num_jobs=2, job=3)
    with pytest.raises(InputError, match="--batch_size 0"):
        run(recipe, batch_size=0)
    with pytest.raises(InputError, match="--device cuda:99: torch sees"):
        run(recipe, device="cuda:99")
    (recipe / "model.pth").unlink()
    with pytest.raises(InputError, match="model.pth: no such file"):
        main(options(recipe))


if __name__ == "__main__":
    extract(get_parser().parse_args(), FakeTokenizer.from_pretrained)
