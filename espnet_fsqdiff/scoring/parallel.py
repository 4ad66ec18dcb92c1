"""One function over many items in a pool of processes, with a bar."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Callable, List, Optional, Sequence, Tuple

from tqdm import tqdm


def parallel_map(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    nj: int = 1,
    desc: str = "",
    unit: str = "utt",
    initializer: Optional[Callable[..., None]] = None,
    initargs: Tuple = (),
) -> List[Any]:
    """Apply `function` to every item.

    Args:
        function: A function of a module, so that other processes find it.
        items: What it is applied to.
        nj: Number of processes; with 1, all is done in this one.
        desc: Name of the bar.
        unit: What the bar counts.
        initializer: Called once in every process, before anything else.
        initargs: Its arguments.

    Returns:
        The results in the order of the items. What `function` raises is raised
        here, and what was not begun is given up.
    """
    nj = max(1, min(nj, len(items)))
    bar = dict(desc=desc, unit=unit, total=len(items), disable=None)
    if nj == 1:
        if initializer is not None and items:
            initializer(*initargs)
        return [function(item) for item in tqdm(items, **bar)]
    results: List[Any] = [None] * len(items)
    # A forked copy of a process that has threads (torch, BLAS) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(nj, context, initializer, initargs)
    try:
        index = {pool.submit(function, item): i for i, item in enumerate(items)}
        for future in tqdm(as_completed(index), **bar):
            results[index[future]] = future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return results
