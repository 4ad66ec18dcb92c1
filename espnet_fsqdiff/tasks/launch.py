"""How a task starts its processes."""

import argparse
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Iterator, Optional, Sequence

from torch.multiprocessing.spawn import ProcessExitedException

from espnet_fsqdiff.errors import InputError
from espnet_fsqdiff.files import writing_to
from espnet_fsqdiff.tasks.building import check_optimizers
from espnet_fsqdiff.tasks.deepspeed import check_deepspeed, chosen_by_espnet
from espnet_fsqdiff.tasks.interruption import STOPPED, passed_to_children
from espnet_fsqdiff.yaml_files import check_config

# Of collected statistics, what is written last: it says that they are whole.
LAST = "valid/stats_keys"
# Exit status of a process that the input was at fault in, as of a command.
REFUSED = 2
INSTEAD = "train with --ngpu N --multiprocessing_distributed true"


@contextmanager
def whole_statistics(args: argparse.Namespace) -> Iterator[None]:
    """Let `LAST` be there only once the statistics that are collected are whole."""
    if not args.collect_stats or args.dry_run or args.output_dir is None:
        yield
        return
    last = Path(args.output_dir) / LAST
    last.unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        last.unlink(missing_ok=True)
        raise


class Launch:
    """What a task's start needs beyond ESPnet's; goes before `AbsTask`."""

    @classmethod
    def main(
        cls,
        args: Optional[argparse.Namespace] = None,
        cmd: Optional[Sequence[str]] = None,
    ) -> None:
        """Run the task.

        With `--ngpu` above 1 and `--multiprocessing_distributed true` this process
        only starts others and waits: it hands them the signals it gets, and ends with
        their status if these stopped them or the input is at fault.
        """
        if args is None:
            check_config(cmd)
            args = cls.get_parser().parse_args(cmd)
        launches = args.multiprocessing_distributed and args.ngpu > 1
        with passed_to_children() if launches else nullcontext():
            try:
                with whole_statistics(args), writing_to(args.output_dir or "."):
                    super().main(args=args)
            except ProcessExitedException as e:
                if e.exit_code not in (STOPPED, REFUSED):
                    raise
                sys.exit(e.exit_code)

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train in this process; one that `main` has started tells a fault itself.

        The launcher learns no more of such a process than its status.
        """
        if not (args.distributed and args.multiprocessing_distributed):
            with chosen_by_espnet(cls, args):
                super().main_worker(args)
            return
        try:
            with writing_to(args.output_dir or "."), chosen_by_espnet(cls, args):
                super().main_worker(args)
        except InputError as e:
            sys.stderr.write(f"{Path(sys.argv[0]).stem}: error: {e}\n")
            sys.exit(REFUSED)

    @classmethod
    def check_required_command_args(cls, args: argparse.Namespace) -> None:
        """Refuse what would train wrongly or lose a run.

        Sharded DDP (fairscale) keeps the optimizer in shards, which are gathered at the
        end of an epoch only. DeepSpeed, which shards it too, has a trainer of its own.

        Raises:
            InputError: If one of them is asked for, or an optimizer or scheduler that
                cannot be.
        """
        if args.use_deepspeed and not args.collect_stats:
            check_deepspeed(args, cls.num_optimizers)
        if args.sharded_ddp:
            raise InputError(
                "sharded_ddp: the optimizer's shards are not saved inside an epoch; "
                f"{INSTEAD}"
            )
        check_optimizers(args, cls.num_optimizers)
        super().check_required_command_args(args)
