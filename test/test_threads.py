"""Calls at once, by threads that are kept."""

import os
import signal
import threading

import pytest
import torch

from espnet_fsqdiff.threads import map_at_once


@pytest.fixture(autouse=True)
def four_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(threads)


def test_workers_share_the_threads_and_give_them_back():
    parts = [[3], [1, 2], [0]]
    both = threading.Barrier(2, timeout=30)

    def one(part):
        if part != [0]:
            both.wait()
        product = torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2)
        return part, torch.get_num_threads(), product.requires_grad, product.dtype

    for grad, dtype in ((True, torch.float32), (False, torch.bfloat16)):
        with torch.set_grad_enabled(grad), torch.autocast("cpu", enabled=not grad):
            found = map_at_once(one, parts, workers=2)
        assert found == [(part, 2, grad, dtype) for part in parts]
    assert torch.get_num_threads() == 4
    each = map_at_once(lambda _: torch.get_num_threads(), range(4), workers=4)
    assert each == [1] * 4 and torch.get_num_threads() == 4


def test_a_failure_is_raised_and_what_was_not_begun_is_left():
    begun = []
    second = threading.Event()

    def one(i):
        begun.append(i)
        if i == 0:
            assert second.wait(30)
            raise KeyError("the first")
        second.set()
        threading.Event().wait(0.2)  # until the first has failed

    with pytest.raises(KeyError, match="the first"):
        map_at_once(one, range(40), workers=2)
    assert sorted(begun) == [0, 1]
    assert map_at_once(str, [1, 2], workers=2) == ["1", "2"]


def test_a_thread_that_begins_meanwhile_has_all_its_threads():
    begun, asked = threading.Event(), threading.Event()

    def one(_):
        begun.set()
        assert asked.wait(30)

    caller = threading.Thread(target=map_at_once, args=(one, [1, 2, 3, 4], 4))
    caller.start()
    assert begun.wait(30)
    found = []
    other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    other.start()
    other.join()
    asked.set()
    caller.join()
    assert found == [4]


def test_no_more_threads_are_kept_than_were_needed_at_once():
    before = threading.active_count()
    for size in (2, 3, 4, 2, 3):
        assert map_at_once(str, range(size), workers=size) == [*map(str, range(size))]
    for _ in range(100):  # those of the smaller crews end by and by
        if threading.active_count() <= before + 4:
            break
        threading.Event().wait(0.1)
    assert threading.active_count() <= before + 4


def test_workers_are_kept_by_the_thread_that_calls():
    both = threading.Barrier(2, timeout=30)

    def name(part):
        both.wait()
        return threading.get_ident()

    found = []

    def call():
        for _ in range(3):
            found.append({threading.get_ident(), *map_at_once(name, [1, 2], 2)})

    caller = threading.Thread(target=call)  # with no workers from before
    caller.start()
    caller.join()
    assert len(found[0]) == 3 and found[0] == found[1] == found[2]
    # Workers that call have workers of their own, or both would wait for themselves.
    inner = map_at_once(lambda _: map_at_once(str, [1, 2], workers=2), [1, 2], 2)
    assert inner == [["1", "2"]] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_workers_of_its_own():
    assert map_at_once(str, [1, 2], workers=2) == ["1", "2"]
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a wait for the parent's workers would have no end
        os._exit(0 if map_at_once(str, [1, 2], workers=2) == ["1", "2"] else 1)
    assert os.waitpid(child, 0)[1] == 0
