"""One of several gloo processes: the averaged gradient of its part of a batch.

    python gradient_worker.py RANK WORLD DIRECTORY

Run by test_distributed.py. What follows the model's call is what ESPnet's trainer
does with the loss of a process.
"""

import sys
from pathlib import Path

import torch

SIZES = (1, 3)
UTTERANCES = ("a", "b", "c", "d")


def make_model():
    """A small model with every switch that adds parameters."""
    from espnet_fsqdiff.codebook import LearnedCodebook
    from espnet_fsqdiff.diffusion import CDCDLoss, CDCDNetwork, LinearSchedule
    from espnet_fsqdiff.nets.dit import DiT
    from espnet_fsqdiff.nets.heads import JointHead
    from espnet_fsqdiff.nets.text_encoder import TextEncoder
    from espnet_fsqdiff.tasks.cdcd import ESPnetCDCDModel

    torch.manual_seed(0)
    codebook = LearnedCodebook([3, 3])
    network = CDCDNetwork(
        TextEncoder(6, dim=8, num_layers=1, num_symbol_layers=1, place=True),
        DiT(2, 8, dim=32, depth=1, num_heads=2, self_conditioning=True),
        JointHead(32, codebook),
    )
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.2)
    loss = CDCDLoss(LinearSchedule(), self_conditioning=0.5)
    model = ESPnetCDCDModel(network, loss, cpu_autocast="off")
    names = iter(())

    def draw(lengths, frames, dim, warp=None):
        fixed = loss.fixed_draw(list(names), lengths, frames, dim)
        return fixed._replace(drop=fixed.t < 0.3, self_condition=fixed.t > 0.5)

    loss.draw = draw

    def call(chosen):
        nonlocal names
        names = iter(chosen)
        return batch_of(chosen)

    return model.train(), call


def batch_of(chosen):
    """Tokens and text of some utterances, each its own wherever it stands."""
    tokens, text, durations = [], [], []
    for name in chosen:
        generator = torch.Generator().manual_seed(ord(name))
        frames = torch.randint(1, 4, (ord(name) % 3 + 2,), generator=generator)
        durations.append(frames)
        text.append(torch.randint(6, frames.shape, generator=generator))
        tokens.append(torch.randint(9, (int(frames.sum()),), generator=generator))

    def pad(rows):
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    return dict(
        text=pad(text),
        text_lengths=torch.tensor([len(x) for x in text]),
        speech_token=pad(tokens),
        speech_token_lengths=torch.tensor([len(x) for x in tokens]),
        durations=pad(durations),
    )


def main(rank: int, world: int, directory: Path) -> None:
    """Write the averaged gradient of this process to DIRECTORY/RANK.pth."""
    from espnet2.torch_utils.recursive_op import recursive_average

    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{directory}/meet", rank=rank, world_size=world
    )
    model, prepare = make_model()
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    first = sum(SIZES[:rank])
    batch = prepare(UTTERANCES[first : first + SIZES[rank]])
    loss, stats, weight = parallel(**batch)
    loss = (loss * weight.type(loss.dtype)).sum()
    stats, weight = recursive_average(stats, weight, True)
    loss = loss / weight * world
    loss.backward()
    grads = {k: p.grad for k, p in model.network.named_parameters()}
    torch.save({"grads": grads, "loss": stats["loss"]}, directory / f"{rank}.pth")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
