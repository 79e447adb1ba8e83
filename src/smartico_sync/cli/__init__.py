"""The command line: one file per command, loaded only when it is asked for."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

import click

from smartico_sync import __version__
from smartico_sync.cli.loading import loading
from smartico_sync.cli.output import echo_lines, secho, suit_the_terminal
from smartico_sync.errors import ConfigError, ExitCode, StateUnwritable, SyncError, Unexpected

__all__ = ["app", "main"]

# Command: (module under this package, what `sync --help` says). The module's attribute of the same name is the command.
COMMANDS = {
    "run": ("run", "Watch the views and send what changed; the daemon."),
    "reload": ("reload", "Have the running daemon read its views.yaml again."),
    "log-level": ("log_level", "Have the running daemon write down more, or less."),
    "check": ("check", "Try everything out without sending: configuration, databases, views, API."),
    "preview": ("preview", "Show the exact request body for some rows of a view; send nothing."),
    "status": ("status", "Say how every view does."),
    "reconcile": ("reconcile", "Compare the source with what was acknowledged; send what is missing."),
    "backfill": ("backfill", "Send a part of a view's history, beside what is live."),
    "trace": ("trace", "Say what became of one row."),
    "dead-letters": ("dead_letters", "Rows that were given up: list, retry, drop."),
    "forget": ("forget", "Take a player out of the state, and clear his data at Smartico."),
    "watermark": ("watermark", "How far each view is, and putting one back."),
    "cluster": ("cluster", "Which machine works with the state, and letting another one have it."),
    "state": ("state", "Back the state up, restore it, or begin anew."),
    "init": ("init", "Write a first views.yaml from what a database holds."),
    "kinds": ("kinds", "What a view's rows can become: kinds, their columns and events."),
    "config": ("config", "The JSON schema of views.yaml."),
    "test-alerts": ("alert_trial", "Post a test to everybody who is alerted."),
    "doctor": ("doctor", "Write a file for support, without secrets and personal data."),
    "completion": ("completion", "Completion for bash, zsh and fish."),
    "keys": ("keys", "Make encryption keys."),
    "sandbox": ("sandbox", "A local ingest API to try things on."),
    "demo": ("demo", "A casino, the daemon and the sandbox at once."),
}

FULL = (errno.ENOSPC, errno.EDQUOT)

EPILOG = """\b
First steps:
  smartico-sync demo                              see it work, on a built-in casino
  smartico-sync init --url URL                    a first views.yaml, from what your database holds
  smartico-sync keys new                          a key for e-mail and phone
  smartico-sync check --config views.yaml         try your views.yaml, send nothing
  smartico-sync run --config views.yaml --once    catch up once and end
  smartico-sync run --config views.yaml           the daemon

\b
Exit codes: 0 fine, 1 internal error, 2 configuration, 3 source, 4 ingest API, 5 state file,
6 finished with dead letters.
"""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used, so that `sync --help` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order in which an operator meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{__name__}.{COMMANDS[cmd_name][0]}"
        if name not in sys.modules:
            with loading():
                importlib.import_module(name)
        module = sys.modules[name]
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="smartico-sync", message="%(prog)s %(version)s")
def app() -> None:
    """Watch views in a replica database and tell Smartico what changed: once, soon and in order."""


def main() -> NoReturn:
    """Run a command and end the process with the exit code of the table; no traceback for what an operator can mend."""
    keep_standard_streams()
    suit_the_terminal()
    keep_from_hanging_up()
    try:
        code = app.main(standalone_mode=False)
    except SyncError as error:
        report(error)
        code = error.exit_code
    except click.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = ExitCode.CONFIGURATION
    except Exception as error:
        if os.environ.get("SYNC_DEBUG"):
            raise
        told = not_ours(error) or Unexpected(error)
        report(told)
        code = told.exit_code
    sys.exit(int(code or 0))


def not_ours(error: Exception) -> SyncError | None:
    """What the machine refuses, wherever it was met: a file of another user, room, a folder that is gone; no mistake of the program."""
    if not isinstance(error, OSError):
        return None
    try:
        os.getcwd()  # noqa: PTH109 - asked, and not used
    except FileNotFoundError:
        return ConfigError("the folder in which this was typed is gone", hint="cd into another one, and type it again")
    told = f"{error.filename or 'the output'}: {(error.strerror or '').lower()}"
    if error.errno in FULL:
        return StateUnwritable(told, hint="make room there, and type it again")
    if not isinstance(error, PermissionError) or not error.filename:
        return None
    from smartico_sync.state.key_file import AS_WHOM  # noqa: PLC0415 - not before it is met

    return StateUnwritable(told, hint=AS_WHOM)


def keep_standard_streams() -> None:
    """Let nothing else have the number of a standard stream that was closed: what is written there would end in the state file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
            if null != number:
                os.close(null)


def keep_from_hanging_up() -> None:
    """Let a daemon that is about to start live through a SIGHUP: it reads its configuration anyway, and takes the next one itself."""
    if sys.argv[1:2] == ["run"] and "--once" not in sys.argv:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def report(error: SyncError) -> None:
    """Tell the operator what happened and what to type next, on standard error, if anybody reads it."""
    with suppress(OSError):
        tell(error)


def tell(error: SyncError) -> None:
    """The same, or OSError."""
    secho("error: ", fg="red", bold=True, nl=False, err=True)
    echo_lines(error.message, err=True)
    if error.hint:
        secho("  next: ", fg="cyan", nl=False, err=True)
        echo_lines(error.hint, err=True)
