"""The batches of an epoch without those that were trained on already."""

from functools import partial
from typing import Callable, Iterable, Iterator, Optional

from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.iterators.multiple_iter_factory import MultipleIterFactory
from torch.utils.data import DataLoader

from espnet_fsqdiff.tasks.interruption import keep_workers


class Skip:
    """Passes over the first batches of an epoch.

    Args:
        size: How many batches.
        then: Called once they are passed: before anything of the next batch is
            made, but after what lies before the first.

    Attributes:
        left: Batches still to pass over.
    """

    def __init__(self, size: int = 0, then: Callable[[], None] = lambda: None):
        self.left = size
        self._then = then

    def advance(self, size: int) -> None:
        """Count `size` batches as passed."""
        self.left -= size
        if self.left == 0:
            self._then()


def size_of(batches: Iterable) -> Optional[int]:
    """How many batches there are, None if that is not known beforehand."""
    try:
        return len(batches)
    except TypeError:
        return None


class Rest:
    """The batches of an iterator after those to pass over.

    A DataLoader reads nothing of what is passed over; of anything else the batches
    are made and dropped.
    """

    def __init__(self, batches: Iterable, skip: Skip):
        self.batches = batches
        self.skip = skip

    def __len__(self) -> int:
        """Batches of the whole epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator:
        if isinstance(self.batches, DataLoader):
            size = min(len(self.batches), self.skip.left)
            rest = ()
            if size < len(self.batches):
                # Draws a seed from torch's generator, as that of the whole would.
                rest = iter(_without_first(self.batches, size))
            self.skip.advance(size)
            yield from rest
            return
        for batch in self.batches:
            if self.skip.left > 0:
                self.skip.advance(1)
            else:
                yield batch


def _without_first(loader: DataLoader, size: int) -> DataLoader:
    """A loader as ESPnet builds it, without its first `size` batches."""
    return DataLoader(
        dataset=loader.dataset,
        batch_sampler=list(loader.batch_sampler)[size:],
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
    )


class SkippingIterFactory(AbsIterFactory):
    """Another factory's iterators, without the batches to pass over.

    Workers of its loaders outlive signals to the process group.

    Args:
        factory: Makes the iterators.
        skip: What to pass over of the next of them.
    """

    def __init__(self, factory: AbsIterFactory, skip: Skip):
        self.factory = factory
        self.skip = skip

    def build_iter(self, epoch: int, shuffle: Optional[bool] = None) -> Iterable:
        factory = self.factory
        if isinstance(factory, MultipleIterFactory):
            # Split by split, so that whole splits are passed over unread.
            parts = [partial(self._part, build) for build in factory.build_funcs]
            parts = MultipleIterFactory(parts, factory.seed, factory.shuffle)
            return parts.build_iter(epoch, shuffle)
        batches = factory.build_iter(epoch, shuffle)
        if isinstance(batches, DataLoader):
            keep_workers(batches)
        return Rest(batches, self.skip) if self.skip.left > 0 else batches

    def _part(self, build: Callable[[], AbsIterFactory]) -> AbsIterFactory:
        return SkippingIterFactory(build(), self.skip)
