"""The option --device of the commands."""

from espnet_fsqdiff.errors import InputError


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Args:
        device: `cpu`, `cuda` or `cuda:1`.

    Raises:
        InputError: There is no such kind, or not so many GPUs.
    """
    import torch

    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise InputError(
            f"--device {device}: there is no such kind; give cpu or cuda"
        ) from None
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"--device {device}: torch sees {torch.cuda.device_count()} GPUs here; "
            "give another, or cpu"
        )
