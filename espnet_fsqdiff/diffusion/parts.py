"""Work in parts: few enough frames for the cache, each on cores of its own."""

import sys
from typing import Any, Callable, List, Optional, Sequence, TypeVar

import torch

from espnet_fsqdiff.threads import map_at_once

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


def sample_in_parts(
    sample: Callable[..., List[Result]],
    inputs: Sequence[Optional[Sequence[Any]]],
    num_frames: Sequence[int],
    device: torch.device,
    workers: int,
    max_frames: Optional[int] = None,
) -> List[Result]:
    """Sample a batch in parts of like lengths.

    Args:
        sample: Called with the inputs of a part, gives the result of each utterance.
        inputs: Sequences with an entry for each utterance, or None.
        num_frames: Frames of each.
        device: Where it is done.
        workers: Parts at once.
        max_frames: Most frames of a part, padding included. None for the default: on
            a CPU that of `frames_of_parts`, elsewhere any number.

    Returns:
        The results, in the order of the batch.
    """
    if max_frames is None:
        on_cpu = device.type == "cpu"
        max_frames = frames_of_parts(num_frames, workers) if on_cpu else sys.maxsize

    def call(part: List[int]) -> List[Result]:
        return sample(*(None if x is None else [x[i] for i in part] for x in inputs))

    parts = parts_of(num_frames, max_frames)
    found = map_at_once(call, parts, workers)
    results = {}
    for part, of_part in zip(parts, found):
        results.update(zip(part, of_part))
    return [results[i] for i in range(len(num_frames))]
