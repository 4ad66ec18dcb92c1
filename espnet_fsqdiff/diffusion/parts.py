"""A batch in parts: few enough frames for the cache, each on cores of its own."""

from concurrent.futures import ThreadPoolExecutor
from typing import Callable, List, Sequence, TypeVar

import torch

# Frames, padding included, of a part on a CPU: more leave the cache, fewer make
# matrices too small to be quick.
MOST_FRAMES = 1000
LEAST_FRAMES = 100
# Parts for each worker, so that all end at about the same time.
PARTS_EACH = 2

Result = TypeVar("Result")


def frames_of_parts(num_frames: Sequence[int], workers: int) -> int:
    """Most frames of a part, such that a batch keeps all workers busy.

    Args:
        num_frames: Frames of each utterance.
        workers: Parts sampled at once.

    Returns:
        From `LEAST_FRAMES` to `MOST_FRAMES`.
    """
    wanted = MOST_FRAMES
    if workers > 1:
        wanted = -(-sum(num_frames) // (PARTS_EACH * workers))
    return min(max(wanted, LEAST_FRAMES), MOST_FRAMES)


def parts_of(num_frames: Sequence[int], limit: int) -> List[List[int]]:
    """Split a batch into parts of like lengths.

    Args:
        num_frames: Frames of each utterance.
        limit: Most frames of a part, padding included; a longer utterance is a
            part of its own.

    Returns:
        Places in the batch, part by part, the longest utterances first.
    """
    parts: List[List[int]] = []
    for i in sorted(range(len(num_frames)), key=lambda i: -num_frames[i]):
        if parts and (len(parts[-1]) + 1) * num_frames[parts[-1][0]] <= limit:
            parts[-1].append(i)
        else:
            parts.append([i])
    return parts


def map_parts(
    function: Callable[[List[int]], Result], parts: List[List[int]], workers: int
) -> List[Result]:
    """Call a function with each part, several at once.

    The workers divide the threads that torch has here: small matrices keep one core
    each busier than all cores together.

    Args:
        function: Takes a part. It must set what torch keeps for each thread by
            itself, as `torch.no_grad` and autocast.
        parts: From :func:`parts_of`.
        workers: Calls at once.

    Returns:
        What the calls return, in the order of the parts.
    """
    workers = min(workers, len(parts))
    if workers < 2:
        return [function(part) for part in parts]
    threads = torch.get_num_threads()
    each = max(1, threads // workers)
    try:
        with ThreadPoolExecutor(
            workers, initializer=torch.set_num_threads, initargs=(each,)
        ) as executor:
            return list(executor.map(function, parts))
    finally:
        # Threads begun later take the number that was set last.
        torch.set_num_threads(threads)
