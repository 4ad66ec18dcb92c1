"""Parts of models made of configurations that nobody vouches for."""

import argparse
import inspect
import logging
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Optional, Union

import torch
from torch.nn.modules import module as torch_module

from espnet_fsqdiff.checks import check_choice
from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.option_types import check_options


def make_part(choices: Any, args: argparse.Namespace, **given: Any) -> Any:
    """What `--<name>` and `--<name>_conf` describe.

    Args:
        choices: ESPnet's `ClassChoices`, which has the name.
        args: Options of a task.
        **given: Further arguments, which are no options.

    Raises:
        InputError: There is no such class, or it has no such option or of other type.
    """
    name = choices.name
    chosen, conf = getattr(args, name), getattr(args, f"{name}_conf")
    check_choice(name, chosen, [c for c in choices.choices() if c is not None])
    made = choices.get_class(chosen)
    return made(**given, **check_options(f"{name}_conf", made, conf, given))


def make_model(kind: type, args: argparse.Namespace, *parts: Any) -> Any:
    """ESPnet's model of its parts, with `--model_conf`.

    Raises:
        InputError: It has no such option, or of another type.
    """
    given = list(inspect.signature(kind).parameters)[: len(parts)]
    return kind(*parts, **check_options("model_conf", kind, args.model_conf, given))


def check_optimizers(args: argparse.Namespace, num_optimizers: int) -> None:
    """Try the options of optimizers and schedulers on a single weight.

    Args:
        args: Options of a task.
        num_optimizers: How many it has.

    Raises:
        InputError: There is no such optimizer or scheduler, or not with these options.
    """
    from espnet2.tasks.abs_task import optim_classes, scheduler_classes

    for number in ("", "2", "3")[:num_optimizers]:
        made: Any = [torch.nn.Parameter(torch.zeros(1))]
        for kind, classes in (
            ("optim", optim_classes),
            ("scheduler", scheduler_classes),
        ):
            name = f"{kind}{number}"
            chosen, conf = getattr(args, name), getattr(args, f"{name}_conf")
            if chosen is None and kind == "scheduler":
                continue
            check_choice(name, chosen, classes)
            given = list(inspect.signature(classes[chosen]).parameters)[:1]
            check_options(f"{name}_conf", classes[chosen], conf, given)
            try:
                made = classes[chosen](made, **conf)
            except Exception as e:
                reason = " ".join(f"{type(e).__name__}: {e}".split())
                raise InputError(f"{name}_conf: {reason}; correct it") from e


@contextmanager
def model_of(
    where: Union[str, Path], max_weights: Optional[int] = None
) -> Iterator[None]:
    """Whatever a configuration leads the building of its model to is its fault.

    Sizes that cannot be, such as a width that its heads do not divide, are found by
    torch in many places and words. The traceback is logged at level DEBUG.

    Args:
        where: The configuration, for messages.
        max_weights: A model of more is given up before they are made.

    Raises:
        InputError: No model can be made of it.
    """
    count = 0

    def register(module, name, parameter) -> None:
        nonlocal count
        count += 0 if parameter is None else parameter.numel()
        if max_weights is not None and count > max_weights:
            raise InputError(
                f"{where}: it describes a model of more than {max_weights} weights, "
                "which its file does not hold; give the config.yaml that it was "
                "trained with"
            )

    handle = torch_module.register_module_parameter_registration_hook(register)
    try:
        yield
    except InputError as e:
        if str(where) in str(e):
            raise
        raise InputError(f"{where}: {e}") from e
    except Exception as e:
        logging.debug(f"{where}: no model can be made of it", exc_info=True)
        reason = " ".join(f"{type(e).__name__}: {e}".split())
        raise InputError(
            f"{where}: no model can be made of it ({reason}); correct it, or give the "
            "config.yaml that the model was trained with"
        ) from e
    finally:
        handle.remove()
