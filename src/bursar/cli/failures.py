"""How a failure is told: a JSON document on standard output, or a line on standard error; and its exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bursar.cli import exits
from bursar.cli.output import error_document
from bursar.errors import InsufficientFundsError, PolicyDeniedError

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.errors import BursarError

_PLAIN = {"message", "code"}


def bursar_error(error: BursarError, session: Session) -> int:
    """One of ours."""
    details = {
        name: value
        for name, value in vars(error).items()
        if name not in _PLAIN and isinstance(value, str | int) and value != ""
    }
    number = exits.exit_code(error)
    _tell(session, error.code, error.message, number, retryable=error.retryable, **details)
    if not session.json and (following := _next_step(error, session)):
        click.echo(f"       {following}", err=True)
    return number


def _next_step(error: BursarError, session: Session) -> str:
    """Where to look where the message cannot say it."""
    if isinstance(error, PolicyDeniedError) and error.rule != "custody":  # that one stands in config.toml, and says so
        return f"The rules are in {session.home.policy}; 'bursar policy explain' asks them without a transfer."
    if isinstance(error, InsufficientFundsError):
        return "'bursar balance' shows what may be spent, and what is pending or reserved."
    if error.code == "chain.token":
        return "'bursar eth token list' shows what is registered, 'bursar eth token remove' forgets it."
    return ""


def usage_error(error: click.ClickException, session: Session) -> int:
    """A command line that cannot be understood."""
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2: a group without a command, and its help
        if not session.json:
            click.echo(message, err=True)
            return exits.USAGE
        message = "say which command you mean: '--help' lists them"
    if not session.json and isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    _tell(session, "input.usage", message, exits.USAGE)
    return exits.USAGE


def system_error(error: OSError, session: Session) -> int:
    """The operating system refused."""
    reason = error.strerror or str(error)
    message = f"{error.filename}: {reason.lower()}" if error.filename else reason.lower()
    _tell(session, "system", message, exits.SYSTEM)
    return exits.SYSTEM


def interrupted(session: Session) -> int:
    """Ctrl-C, or the end of input at a question."""
    if sys.stderr.isatty():
        click.echo(err=True)  # the terminal stands behind its own ^C
    _tell(session, "interrupted", "stopped", exits.INTERRUPTED)
    return exits.INTERRUPTED


def terminated(session: Session) -> int:
    """SIGTERM."""
    _tell(session, "interrupted", "stopped by a request to terminate", exits.TERMINATED)
    return exits.TERMINATED


def _tell(
    session: Session, code: str, message: str, number: int, *, retryable: bool = False, **details: object
) -> None:
    if session.json:
        session.output.answer(error_document(code, message, retryable=retryable, **details), lambda: None)
        return
    advice = "; it may work if you try again" if retryable else ""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(f"{message}{advice}\n       ({code}, exit code {number})", err=True)
