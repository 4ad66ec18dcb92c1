"""Users' faults end in one line, whatever process found them."""

import pytest
import torch

from espnet_fsqdiff.bin.cli import cli
from espnet_fsqdiff.errors import InputError


class Faulty(torch.utils.data.Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise InputError("utt_7: its audio is silent; remove it")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_one_line_and_status_two(num_workers, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/some/where/train.py"])
    loader = torch.utils.data.DataLoader(Faulty(), num_workers=num_workers)
    with pytest.raises(SystemExit) as stop:
        cli(lambda: list(loader))
    assert stop.value.code == 2
    expected = "train: error: utt_7: its audio is silent; remove it\n"
    assert capsys.readouterr().err == expected


def test_our_own_faults_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        cli(lambda: 1 / 0)
