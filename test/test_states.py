"""Checkpoints that nobody vouches for."""

import io
import os
import zipfile

import pytest
import torch

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.states import check_weights, read_states, weights_beside


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\3\4",
        b"\x80\x02.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02c__builtin__\nbytearray\nq\x00J\x00\xca\x9a;\x85q\x01Rq\x02.",
        b"c\xee\xffos\nmkdir\n.",
        b"(" * 10_000 + b".",
        b"I" + b"9" * 5000 + b"\n.",
    ],
)
def test_odd_bytes_are_refused(content, tmp_path):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(InputError, match="a.pth cannot be read"):
        read_states(tmp_path / "a.pth", "train it")


def test_a_pickle_runs_nothing(tmp_path):
    torch.save({"a": Runs(str(tmp_path / "made"))}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="a.pth cannot be read"):
        read_states(tmp_path / "a.pth", "train it")
    assert not (tmp_path / "made").exists()


def test_a_compressed_checkpoint_is_not_opened(tmp_path):
    plain = io.BytesIO()
    torch.save({"a": torch.zeros(10**6)}, plain)
    with zipfile.ZipFile(plain) as old:
        with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
    with pytest.raises(InputError, match="a.pth cannot be read"):
        read_states(tmp_path / "a.pth", "train it")


@pytest.mark.parametrize(
    "value, fault",
    [
        (None, "is no weight"),
        ([1.0], "is no weight"),
        (torch.tensor([1.0, float("nan")]), "is not finite"),
        (torch.tensor(float("inf"), dtype=torch.float16), "is not finite"),
        (torch.zeros(2, dtype=torch.complex64), "is of type torch.complex64"),
        (torch.zeros(2).to(torch.float8_e4m3fn), "is of type torch.float8_e4m3fn"),
        (torch.zeros(2).to_sparse(), "is no plain tensor"),
        (torch.zeros(2, device="meta"), "is no plain tensor"),
        (torch.zeros(1).expand(10**6, 10**6), "is not stored whole"),
    ],
)
def test_what_is_no_weight_is_named(value, fault):
    with pytest.raises(InputError, match=f"a.pth: 'b' {fault}"):
        check_weights({"a": torch.zeros(2), "b": value}, "a.pth")


def test_weights_are_weights():
    kinds = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64)
    check_weights({str(k): torch.zeros(3, 2, dtype=k).T for k in kinds}, "a.pth")
    with pytest.raises(InputError, match="a.pth: 7 is no weight"):
        check_weights({7: torch.zeros(2)}, "a.pth")


def test_the_weights_beside_a_configuration(tmp_path):
    config = tmp_path / "config.yaml"
    with pytest.raises(InputError, match="config.yaml is missing; train the model"):
        weights_beside(config)
    config.touch()
    with pytest.raises(InputError, match="valid.*.ave.pth: train the model first"):
        weights_beside(config)
    (tmp_path / "valid.mel_loss.ave_1best.pth").touch()
    (tmp_path / "valid.mel_loss.ave.pth").symlink_to("valid.mel_loss.ave_1best.pth")
    (tmp_path / "valid.mel_loss.best.pth").touch()
    assert weights_beside(config) == tmp_path / "valid.mel_loss.ave.pth"
    (tmp_path / "valid.loss.ave.pth").touch()
    with pytest.raises(InputError, match="several .valid.loss.ave.pth, valid.mel_loss"):
        weights_beside(config)
