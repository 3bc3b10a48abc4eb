"""The command line: one small file a verb, imported only when that verb is used."""

from __future__ import annotations

import sys
from importlib import import_module
from types import TracebackType

import click

from nwb_celltype.errors import CellTypeError

VERBS = {
    "annotate": "Say what cell each unit is: of a file, a folder or a dandiset.",
    "check": "Check the annotations in a file.",
    "convert": "Make an NWB file of a lab folder: Phy, SpikeGLX, Plexon and others.",
    "evaluate": "Measure a model on labelled units.",
    "export": "Give the labels to Phy, or write them as a CSV or Parquet table.",
    "fetch": "Get labelled data from DANDI, and join labels to their sources.",
    "find": "List dandisets that carry cell-type labels.",
    "models": "List the models that are at hand, with their licences.",
    "publish": "Check labelled files and put them on DANDI.",
    "report": "Write one page that shows every unit of annotated files.",
    "review": "Walk the units on a local page and say what they are; compare runs.",
    "train": "Train a model on labelled units.",
    "verify": "Compute a stored run again and say whether it still holds.",
}
"""Each verb with its line of help; the module of the same name, with `_verb` behind it, holds the command."""


class _Verbs(click.Group):
    """A group that knows its commands by name and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"nwb_celltype.cli.{cmd_name}_verb").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nwb-celltype", prog_name="nwb-celltype")
def group() -> None:
    """Cell types for extracellular units in NWB files.

    Exit codes: 0 done, 1 unexpected, 2 usage, 3 bad input, 4 refused by a rule, 5 network or server, 6 nothing to do.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors raised on purpose become one sentence on stderr and their exit code."""
    _say_full_disks_once()
    try:
        group.main(args=arguments, prog_name="nwb-celltype", standalone_mode=False)
    except CellTypeError as error:
        click.echo(f"nwb-celltype: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MemoryError:
        click.echo(
            "nwb-celltype: There is not enough memory for this; files are as they were. Free some, take fewer units "
            "(--units) or another machine.",
            err=True,
        )
        sys.exit(1)
    except click.Abort:
        click.echo("nwb-celltype: stopped.", err=True)
        sys.exit(1)


def _say_full_disks_once() -> None:
    """Keep h5py from printing a traceback for each object that it cannot flush; the one sentence says that already."""
    on_error, on_ignored = sys.excepthook, sys.unraisablehook

    def is_known(error: BaseException | None) -> bool:
        return isinstance(error, RuntimeError) and "decrement id ref count (file write failed" in str(error)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not is_known(error):
            on_error(kind, error, trace)

    def ignored(what: sys.UnraisableHookArgs) -> None:
        if not is_known(what.exc_value):
            on_ignored(what)

    sys.excepthook, sys.unraisablehook = hook, ignored
