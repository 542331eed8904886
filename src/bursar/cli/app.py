"""The root command: what commands there are, and how any ending becomes output and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from types import TracebackType

import click

from bursar.cli import core_dumps, stopping
from bursar.cli.lazy import Entry, LazyGroup
from bursar.cli.session import Session
from bursar.errors import BursarError
from bursar.version import __version__

_COMPLETE = "_BURSAR_COMPLETE"
KEYS, MONEY, ETHEREUM, FILES, CONTROL, TOOLS = "Keys", "Money", "Ethereum", "Signing by file", "Control", "Tools"


def _entry(section: str, name: str, text: str) -> tuple[str, Entry]:
    return name, Entry(section, f"bursar.cli.commands.{name}", name, text)


COMMANDS = dict(
    [
        _entry(KEYS, "init", "Create a wallet from a fresh mnemonic."),
        _entry(KEYS, "restore", "Create a wallet from a mnemonic or shares you hold."),
        _entry(KEYS, "keys", "Split a seed into shares, derive child seeds, move single Ethereum keys."),
        _entry(KEYS, "devices", "List the signers that can be reached."),
        _entry(KEYS, "device", "Set up, restore, back up, check and wipe a hardware wallet."),
        _entry(KEYS, "account", "Add, list and show accounts."),
        _entry(KEYS, "multisig", "Make accounts of several signers."),
        _entry(KEYS, "address", "Hand out, list and show receiving addresses, and payment URIs."),
        _entry(KEYS, "backup", "Back up accounts, labels and rules, and rehearse restoring them."),
        _entry(MONEY, "balance", "Ask the nodes, then show what each account holds."),
        _entry(MONEY, "send", "Pay somebody: review, policy, signature, broadcast."),
        _entry(MONEY, "sign", "Add a signature to a transfer that waits for it."),
        _entry(MONEY, "coins", "List, freeze and label single coins."),
        _entry(MONEY, "labels", "Write about coins and addresses; import and export what was written."),
        _entry(MONEY, "silent", "Be paid at one public address, unlinkably: silent payments."),
        _entry(MONEY, "history", "List what came in and went out."),
        _entry(MONEY, "bump", "Raise the fee of a transfer that is stuck."),
        _entry(MONEY, "cancel", "Take a transfer back, while that is possible."),
        _entry(MONEY, "cpfp", "Lift a stuck payment to us: child pays for parent."),
        _entry(MONEY, "consolidate", "Join small coins while fees are low."),
        _entry(MONEY, "resume", "Go on with a transfer that was interrupted."),
        _entry(ETHEREUM, "chain", "Ethereum chains, and whom to ask about them."),
        _entry(ETHEREUM, "eth", "What only Ethereum has: messages, contracts, tokens, nonces."),
        _entry(FILES, "psbt", "Inspect, sign, combine, finalize and broadcast PSBT files."),
        _entry(FILES, "airgap", "Work with a signing device that is never connected: by file and QR code."),
        _entry(FILES, "message", "Sign and verify messages."),
        _entry(CONTROL, "policy", "Check the policy file and explain its decisions."),
        _entry(CONTROL, "journal", "Verify the journal of everything the wallet did."),
        _entry(CONTROL, "doctor", "Check this installation, the wallet's folder and its nodes."),
        _entry(TOOLS, "sandbox", "Run a private Bitcoin and Ethereum chain on this machine."),
        _entry(TOOLS, "demo", "Watch the whole job on private chains, in under a minute."),
        _entry(TOOLS, "completion", "Print shell completion for bash, zsh or fish."),
        _entry(TOOLS, "help", "Explain exit codes, amounts, JSON output and files."),
    ]
)


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        output = ctx.ensure_object(Session).output
        output.answer({"version": __version__}, lambda: click.echo(f"bursar {__version__}"))
        ctx.exit()


@click.group(
    "bursar",
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=(
        "bursar demo                                       # see it work first",
        "bursar init                                       # a wallet in ~/.bursar",
        "bursar account add savings --scheme bip84",
        "bursar address new savings",
        "bursar send savings bc1q… 0.1btc --dry-run        # everything but the signature",
    ),
)
@click.option(
    "--version", is_flag=True, expose_value=False, callback=_print_version, help="Print the version and stop."
)
def root() -> None:
    """Bursar, a wallet for Bitcoin and Ethereum: keys in software or on a device; one way to review, approve, sign,
    send and account for a transfer."""


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; only a defect raises."""
    arguments = list(sys.argv[1:] if args is None else args)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    session = Session(json="--json" in options)
    stopping.install()
    core_dumps.forbid()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without a tick mark is no reason to fail
    sys.excepthook = _report_defect(session)
    try:
        code = _run(arguments, session)
        sys.stdout.flush()
    except BrokenPipeError:
        from bursar.cli.exits import BROKEN_PIPE

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush has nothing to say
        return BROKEN_PIPE
    return code


def _run(arguments: list[str], session: Session) -> int:
    from bursar.cli import failures

    try:
        if _COMPLETE in os.environ:
            from click.shell_completion import shell_complete

            return shell_complete(root, {}, "bursar", _COMPLETE, os.environ[_COMPLETE])
        # not root.main(), which turns a broken pipe into a failure and Ctrl-C into an end of input
        with root.make_context("bursar", arguments, obj=session) as context:
            root.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except BursarError as error:
        return failures.bursar_error(error, session)
    except click.ClickException as error:
        return failures.usage_error(error, session)
    except (KeyboardInterrupt, click.Abort):
        return failures.interrupted(session)
    except stopping.TerminatedError:
        return failures.terminated(session)
    except BrokenPipeError:
        raise
    except OSError as error:
        return failures.system_error(error, session)
    return 0


def _report_defect(session: Session) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """An ``excepthook`` that keeps the promise of one JSON document also for a defect, then prints the traceback."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        from bursar.cli.output import error_document

        if session.json:
            session.output.answer(error_document("internal", f"{kind.__name__}: a defect in bursar"), lambda: None)
        sys.__excepthook__(kind, error, trace)

    return hook
