"""The entry point: commands joined, and every way in which they can end given its exit code (docs/errors.md)."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer
from rich.text import Text

import knowmvg
from knowmvg.core.errors import KnowmvgError, OutputError
from knowmvg.core.records import DISCLAIMER
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.ablate import ablate
from knowmvg.interfaces.cli.card import card
from knowmvg.interfaces.cli.compare import compare
from knowmvg.interfaces.cli.convert import convert
from knowmvg.interfaces.cli.doctor import doctor
from knowmvg.interfaces.cli.evaluate import evaluate
from knowmvg.interfaces.cli.export import export
from knowmvg.interfaces.cli.ground import ground
from knowmvg.interfaces.cli.kg import kg
from knowmvg.interfaces.cli.leaderboard import leaderboard
from knowmvg.interfaces.cli.leaks import leaks
from knowmvg.interfaces.cli.phantom import phantom
from knowmvg.interfaces.cli.prepare import prepare
from knowmvg.interfaces.cli.push import push
from knowmvg.interfaces.cli.read import read
from knowmvg.interfaces.cli.splits import splits
from knowmvg.interfaces.cli.stress import stress
from knowmvg.interfaces.cli.texts import texts
from knowmvg.interfaces.cli.train import train

UNEXPECTED, INTERRUPTED = 70, 130
SHOWN = 100  # characters of a path that is too long

app = typer.Typer(
    name="knowmvg",
    help=f"Ground the phrases of a chest radiograph's report on its image.\n\n{DISCLAIMER}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"knowmvg {knowmvg.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Options of the command as a whole; each command has its own help."""


@app.command("version")
def show_version() -> None:
    """Show the version."""
    _show_version(True)


app.command("ground", rich_help_panel="Use a model")(ground)
app.command("read", rich_help_panel="Use a model")(read)
app.command("phantom", rich_help_panel="Prepare data")(phantom)
app.command("prepare", rich_help_panel="Prepare data")(prepare)
app.command("splits", rich_help_panel="Prepare data")(splits)
app.command("texts", rich_help_panel="Prepare data")(texts)
app.command("leaks", rich_help_panel="Prepare data")(leaks)
app.add_typer(kg, name="kg", rich_help_panel="Prepare data")
app.command("doctor", rich_help_panel="Make and measure a model")(doctor)
app.command("train", rich_help_panel="Make and measure a model")(train)
app.command("evaluate", rich_help_panel="Make and measure a model")(evaluate)
app.command("compare", rich_help_panel="Make and measure a model")(compare)
app.command("stress", rich_help_panel="Make and measure a model")(stress)
app.command("ablate", rich_help_panel="Make and measure a model")(ablate)
app.command("leaderboard", rich_help_panel="Make and measure a model")(leaderboard)
app.command("card", rich_help_panel="Make and measure a model")(card)
app.command("export", rich_help_panel="Make and measure a model")(export)
app.command("push", rich_help_panel="Make and measure a model")(push)
app.add_typer(convert, name="convert", rich_help_panel="Prepare data")


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    return ending(lambda: app(arguments))


def ending(work: Callable[[], None]) -> int:
    """Do ``work`` and return the exit code that belongs to its end; every error is told on standard error."""
    try:
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
        if code == INTERRUPTED:  # so typer ends at Ctrl-C, without a word
            _show_interrupted()
        return code
    except KnowmvgError as error:
        _show_traceback()
        console.show_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        _show_interrupted()
        return INTERRUPTED
    except OSError as error:
        if not error.errno or not error.strerror or error.filename is None:
            return _unexpected(error)
        _show_traceback()
        console.show_error(_refused(error.strerror, str(error.filename)))
        return OutputError.exit_code
    except Exception as error:
        return _unexpected(error)
    return 0


def _refused(reason: str, path: str) -> OutputError:
    """The error for a path that the operating system did not take, wherever that was noticed."""
    shown = path if len(path) <= SHOWN else f"{path[:SHOWN]}..."
    todo = "Check the path, its rights and the space."
    return OutputError("a file or folder that the system lets be used", f"{reason} at {shown}", todo)


def _unexpected(error: Exception) -> int:
    _show_traceback()
    # the message of an unexpected error may quote its input, so that only its kind is named
    words = f"knowmvg: unexpected {type(error).__name__}. Run again with KNOWMVG_DEBUG=1 and report the traceback."
    console.err().print(Text(words, "bold red"))
    return UNEXPECTED


def _show_interrupted() -> None:
    words = "interrupted; no result is half-written. The same command goes on where it can, else it starts again."
    console.err().print(f"knowmvg: {words}")


def _show_traceback() -> None:
    if console.debugging():
        traceback.print_exc()


def run() -> None:
    """The ``knowmvg`` command."""
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has left: nothing to tell anybody
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
