"""A fault of the input is one line and status 2, however many processes train."""

import argparse

import pytest
import torch
from torch import distributed

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.tasks.launch import Launch

MESSAGE = "utt_3: no tokens; extract them again"


class Refused:
    """A task that starts its processes as ESPnet does; each finds a fault."""

    @classmethod
    def main(cls, args=None, cmd=None):
        if not args.multiprocessing_distributed:
            return cls.main_worker(args)
        spawn = torch.multiprocessing.get_context("spawn")
        processes, files = [], []
        for rank in range(args.ngpu):
            local = argparse.Namespace(**{**vars(args), "rank": rank, "ngpu": 1})
            process = spawn.Process(target=cls.main_worker, args=(local,))
            process.start()
            processes.append(process)
            files.append(f"{args.store}.{rank}")
        while not torch.multiprocessing.ProcessContext(processes, files).join():
            pass

    @classmethod
    def main_worker(cls, args):
        if args.distributed:
            method = f"file://{args.store}"
            distributed.init_process_group(
                "gloo", init_method=method, rank=args.rank, world_size=2
            )
            distributed.barrier()
        raise InputError(MESSAGE)


class Launched(Launch, Refused):
    pass


def make_args(tmp_path, ngpu):
    return argparse.Namespace(
        ngpu=ngpu,
        multiprocessing_distributed=ngpu > 1,
        distributed=ngpu > 1,
        collect_stats=False,
        dry_run=False,
        use_deepspeed=False,
        output_dir=str(tmp_path),
        store=str(tmp_path / "store"),
    )


def test_a_fault_of_two_processes(tmp_path, capfd):
    with pytest.raises(SystemExit) as left:
        Launched.main(make_args(tmp_path, 2))
    assert left.value.code == 2
    errors = capfd.readouterr().err
    assert f": error: {MESSAGE}\n" in errors
    assert "InputError" not in errors


def test_a_fault_of_one_process_is_left_to_the_command(tmp_path):
    with pytest.raises(InputError, match=MESSAGE):
        Launched.main(make_args(tmp_path, 1))
