"""Voices found, fetched, unpacked once, checked; half precision says the same."""

import shutil
import sys
import types
import zipfile

import pytest
import torch
import yaml

from espnet_fsqdiff import pretrained
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.packing import pack, unpack
from espnet_fsqdiff.states import completed, for_inference, read_states
from espnet_fsqdiff.text2speech import Text2Speech, voices


def load(path, **options):
    return Text2Speech.from_pretrained(path, **options)


def test_a_pack_and_its_folder_say_the_same(voice, cache, tmp_path, tts):
    loaded = load(str(voice.pack), num_steps=3)
    assert loaded.sampling.num_steps == 3 and loaded.sampling.guidance_scale == 0.5
    assert loaded.batch_size == 4 and loaded.chain.vocoder.num_iters == 1
    (folder,) = cache.iterdir()
    assert cache.stat().st_mode & 0o77 == 0
    stamp = (folder / "package.yaml").stat().st_ino
    again = load(folder, num_steps=3)
    assert (folder / "package.yaml").stat().st_ino == stamp
    one, other = loaded("Hello there."), again("Hello there.")
    assert torch.equal(one["tokens"], other["tokens"])
    assert one["wav"].abs().max() > 0
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    if (moved / "decoder" / "config.yaml").read_bytes().count(b"cache") == 0:
        assert torch.equal(
            load(moved, num_steps=3)("Hello there.")["tokens"], one["tokens"]
        )


def test_a_pack_describes_itself(voice, tmp_path):
    roles = unpack(voice.pack, tmp_path / "x")
    package = yaml.safe_load(open(roles["package"]))
    assert package["licence"] == "CC0-1.0" and package["precision"] == "float16"
    assert package["versions"]["espnet_fsqdiff"]
    states = read_states(roles["model_file"], "train")
    assert not [key for key in states if key.startswith("network.")]
    large = [v for v in states.values() if v.numel() >= 1000]
    assert large and all(v.dtype == torch.float16 for v in large)
    heard = read_states(roles["tokenizer_file"], "train")
    assert [key for key in heard if ".recognizer." in key]
    size = sum(voice.files[r].stat().st_size for r in ("model_file", "tokenizer_file"))
    assert voice.pack.stat().st_size < 0.5 * size


def test_half_precision_changes_few_tokens(voice, cache, tmp_path):
    exact = load(pack(tmp_path / "a.zip", voice.files, "CC0", "float32"))
    halved = load(voice.pack)
    texts = ["Hello there, all of you.", "This is a longer sentence."]
    one, other = (
        torch.cat([r["tokens"] for r in x.batch(texts)]) for x in (exact, halved)
    )
    assert (one != other).float().mean() < 0.1
    whole = load(pack(tmp_path / "b.zip", voice.files, "CC0"))
    same = torch.cat([r["tokens"] for r in whole.batch(texts)])
    assert torch.equal(one, same)


def test_what_float16_cannot_hold_is_refused():
    states = {"network.a": torch.ones(3), "ema.network.a": torch.ones(3)}
    states["ema.num_updates"] = torch.tensor(1e9, dtype=torch.float64)
    cut = for_inference(states, "float16")
    assert set(cut) == {"ema.network.a", "ema.num_updates"}
    assert cut["ema.num_updates"] == 1e9
    assert set(completed(cut, states)) == set(states)
    assert set(completed({"b": 1}, ["b", "network.a"])) == {"b"}
    with pytest.raises(InputError, match="float16 cannot hold"):
        for_inference({"ema.network.b": torch.full((2000,), 1e6)}, "float16")


def test_a_licence_is_required(voice, tmp_path):
    with pytest.raises(InputError, match="--licence is empty; state that of the"):
        pack(tmp_path / "a.zip", voice.files, " ")
    with pytest.raises(InputError, match="--precision int8 is unknown"):
        pack(tmp_path / "a.zip", voice.files, "CC0", "int8")


@pytest.mark.parametrize("name", ["decoder/model.pth", "tokenizer/config.yaml"])
def test_a_damaged_cache_is_made_again_and_a_damaged_folder_refused(
    voice, cache, tmp_path, name
):
    folder = tmp_path / "folder"
    unpack(voice.pack, folder)
    with open(folder / name, "ab") as f:
        f.write(b"\nmore: 1\n")
    with pytest.raises(InputError, match=f"{name} is not what was packed"):
        pretrained.find_files(folder)
    pretrained.find_files(voice.pack)
    (kept,) = cache.iterdir()
    (kept / name).write_bytes(b"x: 1\n")
    roles = pretrained.find_files(voice.pack)
    assert (kept / name).read_bytes() != b"x: 1\n"
    assert all(str(kept) in path for path in roles.values())


def test_an_altered_or_newer_pack_is_refused(voice, cache, tmp_path):
    def altered(name, change):
        path = tmp_path / "altered.zip"
        with zipfile.ZipFile(voice.pack) as old, zipfile.ZipFile(path, "w") as new:
            for entry in old.namelist():
                content = old.read(entry)
                new.writestr(entry, change(content) if entry == name else content)
        return path

    with pytest.raises(InputError, match="inference/config.yaml is not what was"):
        load(altered("inference/config.yaml", lambda c: c + b"seed: 1\n"))
    newer = altered("package.yaml", lambda c: c.replace(b"version: 1", b"version: 9"))
    with pytest.raises(InputError, match="packed in format 9, known up to 1"):
        load(newer)
    with pytest.raises(InputError, match="no pack of this program"):
        load(altered("package.yaml", lambda c: b"format: other\n"))


def test_unknown_options_of_a_pack_and_of_a_call(voice, cache, tmp_path):
    config = tmp_path / "decode.yaml"
    config.write_text("num_steps: 2\nwonder: 1\n")
    files = {**voice.files, "inference_config": config}
    with pytest.raises(InputError, match="option wonder is unknown"):
        load(pack(tmp_path / "a.zip", files, "CC0"))
    with pytest.raises(InputError, match="top_p is no option of this model"):
        load(voice.pack, top_p=0.5)
    with pytest.raises(InputError, match="backend 'tin' is unknown"):
        load(voice.pack, backend="tin")
    config.write_text("normalizer: spoken_dutch\n")
    with pytest.raises(InputError, match="normalizer 'spoken_dutch' is unknown"):
        load(pack(tmp_path / "b.zip", files, "CC0"))


def test_weights_of_another_model_are_refused(voice, cache, tmp_path):
    files = {**voice.files, "model_file": voice.files["tokenizer_file"]}
    with pytest.raises(InputError, match="does not fit its configuration"):
        load(pack(tmp_path / "a.zip", files, "CC0", "float16"))


def test_voices_in_the_box(voice, cache, tmp_path, monkeypatch):
    package = tmp_path / "espnet_fsqdiff"
    recipe = tmp_path / "egs" / "x" / "tts1" / "pretrained"
    for folder in (package / "voices", recipe):
        folder.mkdir(parents=True)
    shutil.copy(voice.pack, recipe / "ann.zip")
    shutil.copy(voice.pack, package / "voices" / "bob.zip")
    shutil.copy(voice.pack, package / "voices" / "ann.zip")
    (package / "voices" / "torn.zip").write_bytes(b"no zip")
    monkeypatch.setattr(pretrained.espnet_fsqdiff, "__file__", str(package / "x.py"))
    found = voices()
    assert [v.name for v in found] == ["ann", "bob", "torn"]
    assert found[0].path == package / "voices" / "ann.zip"
    assert found[0].card == "# A tiny voice\n" and found[2].card == ""
    assert "model_file" in pretrained.find_files("bob")
    with pytest.raises(InputError, match="^eve: no such .* in the box: ann, bob, torn"):
        pretrained.find_files("eve")


class FakeHub:
    """Stands for huggingface_hub."""

    files = ["README.md", "voice.zip"]

    def list_repo_files(self, tag):
        if tag == "no/one":
            raise OSError("404\nnot found")
        return self.files


def test_a_tag_of_the_hub(voice, cache, monkeypatch):
    hub = types.SimpleNamespace(
        HfApi=FakeHub, hf_hub_download=lambda tag, name: str(voice.pack)
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert "model_file" in pretrained.find_files("me/voice")
    with pytest.raises(InputError, match="^no/one: .* 404 not found; check the name"):
        pretrained.find_files("no/one")
    monkeypatch.setattr(FakeHub, "files", ["a.zip", "b.zip"])
    with pytest.raises(InputError, match="the Hub has 2 zips"):
        pretrained.find_files("me/voice")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match="pip install huggingface_hub"):
        pretrained.find_files("me/voice")
    for path in ("some/voice.zip", "a/b/c", "../voice"):
        with pytest.raises(InputError, match="no such file, directory or voice"):
            pretrained.find_files(path)


def test_a_cache_that_others_can_write_is_refused(voice, cache):
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(InputError, match="others can write there; set ESPNET_FSQ"):
        pretrained.find_files(voice.pack)
    cache.rmdir()
    cache.write_text("a file")
    with pytest.raises(InputError, match="cannot keep voices there"):
        pretrained.find_files(voice.pack)
