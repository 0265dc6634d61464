"""The root command, its lazy table of commands, and the one place where errors become exit
codes.
"""

import errno
import importlib
import os
import sys
from pathlib import Path

import click

from edgewright import __version__
from edgewright.errors import INTERRUPTED_EXIT_CODE, EdgewrightError, ResourceError

# Command: (module, attribute, help). The help stands here too, so that --help imports nothing; a
# test holds it equal to the command's own.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "agent": ("agent", "agent", "Enrol a device, follow its fleet, apply bundles, go back."),
    "bundle": (
        "bundle",
        "bundle",
        "Build, show, verify, compare, sign, encrypt and carry bundles.",
    ),
    "convert": (
        "convert",
        "convert",
        "Write MODEL in other engine formats, each file checked and compared to it.",
    ),
    "data": ("data", "data", "Record, import, check, clean, label, split and show recordings."),
    "demo": ("demo", "demo", "Walk the whole chain on this machine, on real data."),
    "device": ("device", "device", "Let devices in, list them, label them, revoke them."),
    "doctor": (
        "doctor",
        "doctor",
        "Say what is installed, what can run here, and what is missing.",
    ),
    "fleet": (
        "fleet",
        "fleet",
        "Serve a fleet, say whose signatures it trusts, read its audit log.",
    ),
    "improve": (
        "improve",
        "improve",
        "Pick samples worth a label, label them, and judge a model that learnt them.",
    ),
    "init": ("project", "init", "Write a new project that a person can read."),
    "measure": (
        "measure",
        "measure",
        "Compare model FILEs with the first of them, on this machine.",
    ),
    "monitor": ("monitor", "monitor", "Watch streams for drift and name its cause."),
    "motifs": (
        "motifs",
        "motifs",
        "Learn the motifs of windows: prototypes in the embedding space of MODEL.",
    ),
    "optimize": (
        "optimize",
        "optimize",
        "Find the best variant of MODEL that keeps its accuracy budget.",
    ),
    "predict": ("predict", "predict", "Run every row of a file through a model."),
    "push": ("push", "push", "Bring a bundle to machines over SSH, or take it back."),
    "release": ("release", "release", "Publish bundles, list releases, show where one came from."),
    "rollout": (
        "rollout",
        "rollout",
        "Plan and start rollouts, follow them, pause, resume and abort them.",
    ),
    "run": ("project", "run", "Walk the project's stages, skipping what has not changed."),
    "serve": (
        "serve",
        "serve",
        "Serve models: bundles (.ewb or unpacked), bare engine files, and ensembles (.toml).",
    ),
    "stream": ("stream", "stream", "Run samples of a sensor through a model, window by window."),
    "svg": ("svg", "svg", "Measure how well logos are traced, and recommend settings for one."),
    "targets": (
        "targets",
        "targets",
        "List kinds of devices, show one, recommend some for a model.",
    ),
    "train": (
        "train",
        "train",
        "Train the project's model, and test it on people that it never saw.",
    ),
    "trust": ("trust", "trust", "Keep an image repository with offline keys, or follow one."),
    "tune": (
        "tune",
        "tune",
        "Search the project's options for better ones, on the people watched while training.",
    ),
    "user": ("user", "user", "Add people, give them roles, make tokens for their programs."),
    "validate": ("validate", "validate", "Decide whether a served model may go out."),
    "verify": (
        "verify",
        "verify",
        "Compare CANDIDATE to REFERENCE on golden data and on edge inputs.",
    ),
}


class LazyGroup(click.Group):
    """A group that imports a command's file when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"edgewright.cli.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, from the texts above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant, or an error that suggests one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from edgewright.contract.decoding import suggestion

            ctx.fail(f"no such command {args[0]!r}; {suggestion(args[0], list(COMMANDS))}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="edgewright")
@click.option("--verbose", "-v", is_flag=True, help="Log what happens, to stderr.")
def root(*, verbose: bool) -> None:
    """Takes a model from raw sensor data to a fleet of edge devices and keeps it good there.

    Exit codes: 0 ok, 2 wrong input or usage, 3 something is not installed, 4 the other side did not
    answer, 5 not trusted, 6 the device failed, 7 a measured limit was missed, 8 this machine lacks
    disk, permission or a port, 9 a measurement is not sound (validate), 130 interrupted.
    """
    from edgewright.chain.logs import log_to_stderr

    log_to_stderr(verbose=verbose)


def main() -> None:
    """Run the command line and exit with the code that the errors tree gives."""
    if sys.stdout is None:  # it was closed by who called
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process lives
    try:
        code = root.main(prog_name="edgewright", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EdgewrightError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        from edgewright.cli._extras import absence_of

        absence = absence_of(error)
        click.echo(f"error: {absence}", err=True)
        sys.exit(absence.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED_EXIT_CODE)
    except BrokenPipeError:
        _drop_output()
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO) or error.filename:
            raise
        _drop_output()
        click.echo(f"error: the output cannot be written: {error.strerror}", err=True)
        sys.exit(ResourceError.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _drop_output() -> None:
    """Let the interpreter's last flush go nowhere: there is nobody to tell."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
