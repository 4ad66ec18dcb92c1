"""How large the networks are that something runs."""

from typing import Any, Dict


def model_size(*parts: Any) -> Dict[str, int]:
    """Count the weights of networks, and of those that objects hold.

    Args:
        parts: Networks, or objects with networks as attributes, such as vocoders.

    Returns:
        `parameters`, and `bytes` of parameters and buffers as they are in memory;
        each network counts once.
    """
    from torch import nn

    networks = []
    for part in parts:
        held = [part] if isinstance(part, nn.Module) else vars(part).values()
        networks += [x for x in held if isinstance(x, nn.Module)]
    parameters = {id(p): p for n in networks for p in n.parameters()}
    buffers = {id(b): b for n in networks for b in n.buffers()}
    held = [*parameters.values(), *buffers.values()]
    return dict(
        parameters=sum(p.numel() for p in parameters.values()),
        bytes=sum(t.numel() * t.element_size() for t in held),
    )
