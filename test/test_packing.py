import sys
import types
import zipfile
from pathlib import Path

import pytest
import yaml

from espnet_fsqdiff.bin import pack as pack_command
from espnet_fsqdiff.bin import upload as upload_command
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.packing import pack, unpack


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe directory as training leaves it; also the working directory."""
    folder = tmp_path / "recipe"
    for name in ("exp/cdcd", "exp/tokenizer", "exp/duration", "dump/token_list"):
        (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder)
    Path("exp/cdcd/valid.loss.ave.pth").write_bytes(b"cdcd weights" * 100)
    Path("exp/tokenizer/valid.loss.ave.pth").write_bytes(b"tokenizer weights")
    Path("exp/duration/duration.yaml").write_text("kind: table\n")
    Path("dump/token_list/bpe.model").write_bytes(b"pieces")
    Path("char").write_text("a file that is called like a choice")
    Path("README.md").write_text("# A voice\n")
    training = {
        "config": "conf/train.yaml",
        "output_dir": str(folder / "exp/cdcd"),
        "train_data_path_and_name_and_type": [["dump/raw/train/text", "text", "text"]],
        "train_shape_file": [str(folder / "exp/stats/train/text_shape")],
        "init_param": ["/home/me/exp/other/valid.loss.ave.pth"],
        "token_list": ["<sos/eos>", "<space>", "a", "/", "."],
        "token_type": "char",
        "optim_conf": {"lr": 0.001},
    }
    write("exp/tokenizer/config.yaml", training)
    config = {
        **training,
        "bpemodel": str(folder / "dump/token_list/bpe.model"),
        "duration_file": "exp/duration/duration.yaml",
        "nested_conf": {"also": ["dump/token_list/bpe.model"]},
    }
    write("exp/cdcd/config.yaml", config)
    write("decode.yaml", {"num_steps": 16})
    return folder


def write(path, data):
    Path(path).write_text(yaml.safe_dump(data))


FILES = {
    "train_config": "exp/cdcd/config.yaml",
    "model_file": "exp/cdcd/valid.loss.ave.pth",
    "tokenizer_config": "exp/tokenizer/config.yaml",
    "tokenizer_file": "exp/tokenizer/valid.loss.ave.pth",
    "duration_file": "exp/duration/duration.yaml",
    "inference_config": "decode.yaml",
    "readme": "README.md",
}


def run_pack(outpath="out/model.zip", **change):
    files = {**FILES, **change}
    cmd = ["--outpath", outpath, "--licence", "CC0"]
    cmd += [x for role, path in files.items() if path for x in (f"--{role}", path)]
    pack_command.main(cmd)
    return Path(outpath)


def test_pack_and_unpack(recipe, tmp_path):
    found = unpack(run_pack(), tmp_path / "elsewhere")
    assert set(FILES) | {"package"} <= set(found)
    for role in ("model_file", "tokenizer_file", "duration_file", "readme"):
        assert Path(found[role]).read_bytes() == Path(FILES[role]).read_bytes()
    config = yaml.safe_load(Path(found["train_config"]).read_text())
    assert config["token_list"] == ["<sos/eos>", "<space>", "a", "/", "."]
    assert config["token_type"] == "char" and config["optim_conf"] == {"lr": 0.001}
    assert config["duration_file"] == found["duration_file"]
    assert Path(config["bpemodel"]).read_bytes() == b"pieces"
    assert config["nested_conf"]["also"] == [config["bpemodel"]]
    assert yaml.safe_load(Path(found["inference_config"]).read_text())["num_steps"]
    package = yaml.safe_load(Path(found["package"]).read_text())
    assert package["licence"] == "CC0"
    assert package["versions"]["espnet_fsqdiff"] and package["versions"]["torch"]
    for path in found.values():
        assert Path(path).is_relative_to(tmp_path / "elsewhere")


def test_nothing_of_the_training_machine_is_in_the_pack(recipe):
    with zipfile.ZipFile(run_pack()) as z:
        for name in z.namelist():
            content = z.read(name)
            assert str(recipe).encode() not in content, name
            assert b"/home/me" not in content and b"dump/" not in content, name
    assert [p.name for p in Path("out").iterdir()] == ["model.zip"]


def test_espnet_unpacks_it_too(recipe, tmp_path):
    from espnet2.main_funcs.pack_funcs import unpack as espnet_unpack

    found = espnet_unpack(run_pack(), tmp_path / "espnet")
    config = yaml.safe_load(Path(found["train_config"]).read_text())
    assert Path(config["bpemodel"]).read_bytes() == b"pieces"
    assert Path(found["model_file"]).read_bytes().startswith(b"cdcd")


def test_optional_files_may_be_missing(recipe, tmp_path):
    found = unpack(run_pack(readme=None, inference_config=None), tmp_path / "x")
    assert "readme" not in found and "inference_config" not in found


def test_pack_names_what_is_wrong(recipe):
    with pytest.raises(InputError, match="--model_file nowhere.pth: no such file"):
        run_pack(model_file="nowhere.pth")
    with pytest.raises(InputError, match="call the pack"):
        run_pack("model.tar")
    with pytest.raises(InputError, match="--tokenizer_config is not given"):
        pack(
            "m.zip", {k: v for k, v in FILES.items() if k != "tokenizer_config"}, "CC0"
        )
    for value in ("/data/lost.bin", "exp/tokenizer"):
        write("decode.yaml", {"a": {"b": value}})
        with pytest.raises(InputError, match=f"decode.yaml: a.b names {value}"):
            run_pack()
    Path("decode.yaml").write_text("a: [")
    with pytest.raises(InputError, match="decode.yaml: not yaml"):
        run_pack()
    assert not Path("out/model.zip").exists()


def make_zip(path, entries, meta=None):
    meta = meta or {"files": {"model_file": "a"}, "yaml_files": {}}
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("meta.yaml", yaml.safe_dump(meta))
        z.writestr("a", b"x")
        for info, content in entries:
            z.writestr(info, content)
    return path


def symlink(name, target):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info, target


@pytest.mark.parametrize(
    "entry, message",
    [
        (("/etc/evil", b""), "no relative path"),
        (("../evil", b""), "leads out"),
        (("b/../../evil", b""), "leads out"),
        (("b/./c", b""), "no plain name"),
        (("..\\evil", b""), "no relative path"),
        (("C:evil", b""), "no relative path"),
        (symlink("link", "/etc/passwd"), "link"),
        (("large", b"0" * 2000), "has 2000 bytes, more than 1000"),
        (("a/b", b""), "below a file"),
    ],
)
def test_unsafe_archive_is_refused_whole(tmp_path, entry, message):
    archive = make_zip(tmp_path / "m.zip", [entry])
    with pytest.raises(InputError, match=message):
        unpack(archive, tmp_path / "deep" / "out", max_entry_bytes=1000)
    assert [p.name for p in tmp_path.rglob("*")] == ["m.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_doubled_entry_is_refused(tmp_path):
    archive = make_zip(tmp_path / "m.zip", [("a", b"other")])
    with pytest.raises(InputError, match="is there twice"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    "meta",
    [
        {"files": {}},
        {"files": {"m": "missing"}, "yaml_files": {}},
        {"files": {"m": ["a"]}, "yaml_files": {}},
        [1],
    ],
)
def test_bad_meta(tmp_path, meta):
    archive = make_zip(tmp_path / "m.zip", [], meta)
    with pytest.raises(InputError, match="no pack of this program"):
        unpack(archive, tmp_path / "out")


def test_yaml_of_an_archive_runs_no_code(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as z:
        z.writestr("meta.yaml", "!!python/object/apply:os.system ['touch evil']")
    with pytest.raises(InputError, match="no pack of this program"):
        unpack(tmp_path / "m.zip", tmp_path / "out")


def test_damaged_archive(recipe, tmp_path):
    archive = run_pack()
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a whole zip file"):
        unpack(archive, tmp_path / "out")
    archive.write_bytes(whole.replace(b"tokenizer weights", b"tokenizer wEights"))
    with pytest.raises(InputError, match="not a whole zip file"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="no such file"):
        unpack(tmp_path / "none.zip", tmp_path / "out")


def test_exchanged_weights_are_noticed(recipe, tmp_path):
    with zipfile.ZipFile(run_pack()) as z:
        contents = {name: z.read(name) for name in z.namelist()}
    contents["decoder/model.pth"] = b"other weights"
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as z:
        for name, content in contents.items():
            z.writestr(name, content)
    with pytest.raises(InputError, match="decoder/model.pth is not what was packed"):
        unpack(tmp_path / "m.zip", tmp_path / "out")


def rewritten(archive, target, added=None, compression=zipfile.ZIP_STORED, **changed):
    """A pack with an entry added or others changed."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, changed.get(name, old.read(name)))
        if added is not None:
            new.writestr(*added, compress_type=compression)
    return target


def test_a_pack_that_grows_is_not_unpacked(recipe, tmp_path):
    bomb = ("bomb", bytes(100 * 2**20))
    odd = rewritten(run_pack(), tmp_path / "m.zip", bomb, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="m.zip: it would grow to [0-9]+ bytes"):
        unpack(odd, tmp_path / "out")
    odd = rewritten(run_pack(), tmp_path / "m.zip", ("x", b"x"), zipfile.ZIP_BZIP2)
    with pytest.raises(
        InputError, match="'x' is compressed by method 12, not deflated"
    ):
        unpack(odd, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_no_file_can_have(recipe, tmp_path):
    for name in ("n" * 300, "d/" * 3000 + "x"):
        odd = rewritten(run_pack(), tmp_path / "m.zip", (name, b"x"))
        with pytest.raises(InputError, match="m.zip: not a whole zip file"):
            unpack(odd, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_directory_of_odd_bytes(recipe, tmp_path):
    whole = run_pack().read_bytes()
    at = whole.rindex(b"PK\1\2")
    for place in range(at, len(whole)):
        odd = bytearray(whole)
        odd[place] ^= 0xFF
        (tmp_path / "m.zip").write_bytes(odd)
        try:
            unpack(tmp_path / "m.zip", tmp_path / "out")
        except InputError as e:
            assert "m.zip" in str(e)


class FakeHub:
    """Stands for huggingface_hub.HfApi."""

    calls = []
    fault = None

    def create_repo(self, repo_id, private, exist_ok):
        self.calls.append((repo_id, private, exist_ok))
        if self.fault is not None:
            raise self.fault

    def upload_file(self, path_or_fileobj, path_in_repo, repo_id):
        self.calls.append((path_or_fileobj, path_in_repo, repo_id))


def test_upload(recipe, monkeypatch):
    hub = types.SimpleNamespace(HfApi=FakeHub)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setattr(FakeHub, "calls", [])
    cmd = ["--packed", str(run_pack()), "--repo_id", "me/voice"]
    upload_command.main([*cmd, "--private"])
    assert FakeHub.calls == [
        ("me/voice", True, True),
        (b"# A voice\n", "README.md", "me/voice"),
        ("out/model.zip", "model.zip", "me/voice"),
    ]
    monkeypatch.setattr(FakeHub, "fault", OSError("no\nlogin"))
    with pytest.raises(InputError, match="--repo_id me/voice: no login; check"):
        upload_command.main(cmd)


def test_upload_says_what_is_missing(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    cmd = ["--packed", str(run_pack()), "--repo_id", "me/voice"]
    with pytest.raises(InputError, match="pip install huggingface_hub"):
        upload_command.main(cmd)
    with pytest.raises(InputError, match="nowhere.md: no model card"):
        upload_command.main([*cmd, "--readme", "nowhere.md"])
    with pytest.raises(InputError, match="--packed decode.yaml: no zip file"):
        upload_command.main(["--packed", "decode.yaml", "--repo_id", "me/voice"])
