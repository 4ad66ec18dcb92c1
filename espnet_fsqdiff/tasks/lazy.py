"""Tasks that become ESPnet's only where they train.

`espnet2.tasks.abs_task` imports every frontend, adapter and text processor there is:
some ten seconds of processor time, with downloads tried on the way. To build a model
for speaking, none of it is needed. So each task is a builder, a class with the methods
that ESPnet asks for, and the task proper is made of it when it is first asked for.
"""

from typing import Callable


def task_of(
    module: str, name: str, builder: type, trainer: str = "ResumableTrainer"
) -> Callable[[str], type]:
    """Make the `__getattr__` of a module whose attribute `name` is the task.

    Args:
        module: Name of the module.
        name: Name of the task.
        builder: What it is made of.
        trainer: Its trainer, a class of `tasks.trainer`.
    """

    def get(asked: str) -> type:
        if asked != name:
            raise AttributeError(f"module {module!r} has no attribute {asked!r}")
        import sys

        from espnet2.tasks.abs_task import AbsTask

        from espnet_fsqdiff.tasks import trainer as trainers
        from espnet_fsqdiff.tasks.building import model_of
        from espnet_fsqdiff.tasks.data_types import name_faults
        from espnet_fsqdiff.tasks.launch import Launch

        name_faults()

        def from_options(make: Callable) -> classmethod:
            def made(cls, args, *others, **named):
                with model_of(vars(args).get("config") or "the options"):
                    return make.__func__(cls, args, *others, **named)

            return classmethod(made)

        entries = {
            "__module__": module,
            "__doc__": builder.__doc__,
            "trainer": getattr(trainers, trainer),
            "build_model": from_options(builder.build_model),
            "build_preprocess_fn": from_options(builder.build_preprocess_fn),
        }
        task = type(AbsTask)(name, (builder, Launch, AbsTask), entries)
        # Found there from now on, also by pickle in the processes of a training.
        setattr(sys.modules[module], name, task)
        return task

    return get
