"""One of several gloo processes: a residual quantizer on its part of the data.

    python rvq_worker.py RANK WORLD DIRECTORY

Run by test_rvq_distributed.py.
"""

import sys
from pathlib import Path

import torch


def main(rank: int, world: int, directory: Path) -> None:
    """Write the quantizer after some batches to DIRECTORY/rvq_RANK.pth."""
    from espnet_fsqdiff.rvq import ResidualVQ

    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{directory}/meet", rank=rank, world_size=world
    )
    # Other latents and other random numbers in every process, and of other counts.
    torch.manual_seed(rank)
    quantizer = ResidualVQ(
        dim=4, num_books=2, book_size=6, decay=0.5, dead_code_threshold=3
    )
    shift = 5 * rank
    for _ in range(6):
        quantizer(torch.randn(20 + 10 * rank, 4) + shift)
    torch.save(quantizer.state_dict(), directory / f"rvq_{rank}.pth")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
