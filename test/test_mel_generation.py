"""Mels of true tokens: in jobs, killed and started again, as float32 archives."""

import zlib

import kaldiio
import numpy as np
import pytest
import torch

from espnet_fsqdiff.arks import write_ark
from espnet_fsqdiff.data.datadir import read_table, write_table
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.mel_generation import mel_maker_key, merge, plan, run_job


class FakeChain:
    """Two frames of three bins for each token, its seed among them."""

    made = []

    def mels(self, tokens, seeds, spk_embeds):
        for row in tokens:
            self.made.append(len(row))
        if spk_embeds is not None:
            seeds = [int(voice[0]) for voice in spk_embeds]
        return [
            torch.from_numpy(
                np.stack([row.repeat(2), np.full(2 * len(row), seed % 1000)], 1)
            ).float()
            / 7
            for row, seed in zip(tokens, seeds)
        ]


@pytest.fixture
def sets(tmp_path):
    """Tokens of two sets of 11 and 3 utterances."""
    FakeChain.made.clear()
    rng = np.random.default_rng(0)
    for name, size in (("train", 11), ("valid", 3)):
        rows = {
            f"{name}{i:02d}": rng.integers(0, 9, rng.integers(2, 9))
            for i in range(size)
        }
        (tmp_path / "tokens" / name).mkdir(parents=True)
        ark = tmp_path / "tokens" / name / "tokens.ark"
        offsets = write_ark(ark, rows)
        scp = {utt: f"{ark}:{at}" for utt, at in offsets.items()}
        write_table(tmp_path / "tokens" / name / "tokens.scp", scp)
    return tmp_path


def planned(root, key="key", num_jobs=2, voices=None):
    folders = [root / "tokens" / name for name in ("train", "valid")]
    return plan(folders, root / "mels", num_jobs, key, 3, voices)


def run_all(root, **more):
    chunks = planned(root, **more)
    for job in (1, 2):
        run_job(chunks, job, FakeChain, batch_size=2)
    merge(chunks)


def test_every_utterance_has_its_mel(sets):
    run_all(sets)
    for name, size in (("train", 11), ("valid", 3)):
        out = sets / "mels" / name
        entries, frames = read_table(out / "mels.scp"), read_table(
            out / "utt2num_frames"
        )
        assert len(entries) == size and list(entries) == list(frames)
        tokens = read_table(sets / "tokens" / name / "tokens.scp")
        for utt, entry in entries.items():
            row, mel = kaldiio.load_mat(tokens[utt]), kaldiio.load_mat(entry)
            assert mel.dtype == np.float32 and mel.shape == (2 * len(row), 2)
            assert int(frames[utt]) == len(mel)
            np.testing.assert_allclose(mel[:, 0], row.repeat(2) / 7, rtol=1e-6)
            seed = zlib.crc32(utt.encode()) % 1000
            np.testing.assert_allclose(mel[:, 1], seed / 7, rtol=1e-6)


def test_every_utterance_has_its_voice(sets):
    files = []
    for name in ("train", "valid"):
        utts = list(read_table(sets / "tokens" / name / "tokens.scp"))
        rows = {utt: np.full(4, number) for number, utt in enumerate(utts)}
        offsets = write_ark(sets / f"{name}.ark", rows, np.float32)
        files.append(sets / f"{name}.scp")
        scp = {utt: f"{sets}/{name}.ark:{at}" for utt, at in offsets.items()}
        write_table(files[-1], scp)
    run_all(sets, voices=files)
    for name, size in (("train", 11), ("valid", 3)):
        entries = read_table(sets / "mels" / name / "mels.scp")
        for number, entry in enumerate(entries.values()):
            mel = kaldiio.load_mat(entry)
            np.testing.assert_allclose(mel[:, 1], number / 7, rtol=1e-6)
        assert len(entries) == size
    # Other voices are other mels; those of the first set stay.
    before = len(FakeChain.made)
    write_ark(sets / "valid.ark", {u: np.full(4, 9) for u in rows}, np.float32)
    run_all(sets, voices=files)
    assert len(FakeChain.made) - before == 3
    with pytest.raises(InputError, match="1 files of speaker embeddings for 2 sets"):
        planned(sets, voices=files[:1])
    write_table(files[1], {"valid00": read_table(files[1])["valid00"]})
    with pytest.raises(InputError, match="valid.scp: utterance valid01 is missing"):
        planned(sets, voices=files)


def test_an_utterance_without_a_mel_is_named(sets):
    class Faulty(FakeChain):
        def mels(self, tokens, **options):
            if any(len(row) == longest for row in tokens):
                raise InputError("utterance 3: it is too long")
            return super().mels(tokens, **options)

    rows = {u: r for c in sum(planned(sets).values(), []) for u, r in c.data.items()}
    longest = max(len(row.tokens) for row in rows.values())
    names = "|".join(u for u, row in rows.items() if len(row.tokens) == longest)
    with pytest.raises(InputError, match=f"^({names}): utterance 3: it is too long"):
        for job in (1, 2):
            run_job(planned(sets), job, Faulty, 4)


def test_a_killed_job_goes_on_where_it_was(sets):
    class Killed(FakeChain):
        def mels(self, *args, **options):
            if len(self.made) >= 3:
                raise KeyboardInterrupt
            return super().mels(*args, **options)

    chunks = planned(sets)
    with pytest.raises(KeyboardInterrupt):
        run_job(chunks, 1, Killed, batch_size=2)
    with pytest.raises(InputError, match="8 utterances have no mels .* job 1, 2 of"):
        merge(chunks)
    assert not (sets / "mels/train/mels.scp").exists()
    before = len(FakeChain.made)
    run_all(sets)
    # The first chunk of three was whole, the fourth utterance was lost.
    assert len(FakeChain.made) - before == 14 - 3
    before = len(FakeChain.made)
    run_all(sets)
    assert len(FakeChain.made) == before


def test_another_model_or_other_tokens_are_made_anew(sets):
    run_all(sets)
    before = len(FakeChain.made)
    run_all(sets, key="another")
    assert len(FakeChain.made) - before == 14
    ark = sets / "tokens/valid/tokens.ark"
    rows = {f"valid{i:02d}": np.array([1, 2]) for i in range(3)}
    offsets = write_ark(ark, rows)
    scp = {utt: f"{ark}:{at}" for utt, at in offsets.items()}
    write_table(sets / "tokens/valid/tokens.scp", scp)
    before = len(FakeChain.made)
    run_all(sets, key="another")
    assert FakeChain.made[before:] == [2, 2, 2]


def test_other_numbers_of_jobs_leave_no_strays(sets):
    run_all(sets)
    chunks = planned(sets, num_jobs=1)
    run_job(chunks, 1, FakeChain)
    merge(chunks)
    found = {p.name for p in (sets / "mels/train").iterdir()}
    arks = {f"mels.1.{i}.{x}" for i in (1, 2, 3, 4) for x in ("ark", "json")}
    assert found == {"mels.scp", "utt2num_frames", *arks}


def test_the_key_is_of_files_and_options(tmp_path):
    (tmp_path / "a").write_text("1")
    key = mel_maker_key([tmp_path / "a"], [3])
    assert key != mel_maker_key([tmp_path / "a"], [4])
    (tmp_path / "a").write_text("2")
    assert key != mel_maker_key([tmp_path / "a"], [3])
    with pytest.raises(InputError, match="b: no such file"):
        mel_maker_key([tmp_path / "b"], [])
