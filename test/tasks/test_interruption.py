"""Signals reach the processes of a training and not the workers of its loaders."""

import multiprocessing
import os
import signal
import sys
import time

import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException

from espnet_fsqdiff.tasks.batches import Skip, SkippingIterFactory
from espnet_fsqdiff.tasks.interruption import (
    STOPPED,
    Interruption,
    keep_workers,
    passed_to_children,
)
from espnet_fsqdiff.tasks.launch import Launch

FORK = multiprocessing.get_context("fork")


def test_a_signal_is_noted_and_handlers_are_put_back():
    before = signal.getsignal(signal.SIGUSR1)
    with Interruption() as interruption:
        assert interruption.number == 0
        os.kill(os.getpid(), signal.SIGUSR1)
        assert interruption.number == signal.SIGUSR1
    assert signal.getsignal(signal.SIGUSR1) == before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGUSR1)
        assert interruption.number == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


def load_through_signals(pipe):
    """Its own process group; 0 if every item comes although all are signalled."""
    os.setsid()
    data = torch.utils.data.DataLoader(Slow(), num_workers=1, batch_size=1)
    keep_workers(data)
    items = []
    with Interruption() as interruption:
        for item in data:
            items.append(int(item))
            if len(items) == 1:
                pipe.send(os.getpid())
                pipe.recv()
    whole = items == list(range(len(data)))
    sys.exit(0 if whole and interruption.number == signal.SIGTERM else 1)


def fork_with_threads(pipe):
    """As above, of a process with threads of torch, which come again in its workers."""
    torch.set_num_threads(2)
    child = FORK.Process(target=load_through_signals, args=(pipe,))
    child.start()
    child.join(60)
    sys.exit(child.exitcode)


class Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, item):
        time.sleep(0.02)
        return item


@pytest.mark.parametrize("start", [load_through_signals, fork_with_threads])
def test_workers_outlive_signals_to_the_group(start):
    # Of a process that is new: what it has done decides on the threads of workers.
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    child = spawn.Process(target=start, args=(theirs,))
    child.start()
    assert ours.poll(60)
    group = ours.recv()
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
        os.killpg(group, number)
        time.sleep(0.1)  # handlers run in this order
    ours.send("go on")
    child.join(60)
    assert child.exitcode == 0


def leave_worker_behind():
    """Ends with a live loader, which Python then has to end."""
    data = torch.utils.data.DataLoader(Slow(), num_workers=1, batch_size=1)
    keep_workers(data)
    global left
    left = iter(data)
    next(left)


def test_a_worker_that_is_left_over_is_ended():
    child = FORK.Process(target=leave_worker_behind)
    child.start()
    child.join(60)
    assert child.exitcode == 0


def wait_for_signal(pipe):
    with Interruption() as interruption:
        pipe.send("ready")
        end = time.monotonic() + 30
        while interruption.number == 0 and time.monotonic() < end:
            time.sleep(0.01)
    pipe.send(interruption.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_launcher_hands_signals_on_as_sigterm(number):
    ours, theirs = FORK.Pipe()
    child = FORK.Process(target=wait_for_signal, args=(theirs,))
    before = signal.getsignal(number)
    with passed_to_children():
        child.start()
        assert ours.recv() == "ready"
        os.kill(os.getpid(), number)
        assert ours.poll(30) and ours.recv() == signal.SIGTERM
    child.join()
    assert signal.getsignal(number) == before


class Exited:
    """A task whose processes ended with a status."""

    @classmethod
    def main(cls, args=None, cmd=None):
        raise ProcessExitedException("ended", 0, 1, args.status)

    @classmethod
    def get_parser(cls):
        import argparse

        parser = argparse.ArgumentParser()
        parser.add_argument("--status", type=int)
        parser.set_defaults(ngpu=2, multiprocessing_distributed=True)
        parser.set_defaults(collect_stats=False, dry_run=False, output_dir=None)
        return parser


class Launched(Launch, Exited):
    pass


def test_a_launcher_ends_with_the_status_of_stopped_processes():
    with pytest.raises(SystemExit) as left:
        Launched.main(cmd=["--status", str(STOPPED)])
    assert left.value.code == STOPPED
    with pytest.raises(ProcessExitedException):
        Launched.main(cmd=["--status", "1"])


class Generated:
    """Makes batches in a generator, as ESPnet's chunks are."""

    def __init__(self, made):
        self.made = made

    def build_iter(self, epoch, shuffle=None):
        for i in range(4):
            self.made.append(i)
            yield i


def test_generated_batches_are_made_and_dropped():
    made, then = [], []
    skip = Skip(2, lambda: then.append(list(made)))
    batches = SkippingIterFactory(Generated(made), skip)
    assert list(batches.build_iter(1)) == [2, 3]
    assert then == [[0, 1]] and skip.left == 0
    assert list(batches.build_iter(2)) == [0, 1, 2, 3]
