"""``bursar help``: topics that belong to no single command."""

from __future__ import annotations

import click

from bursar.cli import exits
from bursar.cli.lazy import command
from bursar.cli.session import Session

AMOUNTS = """\
Amounts carry their unit; a bare number is an error.

  Bitcoin     0.1btc   100mbtc   15000sat
  Ethereum    0.5eth   2gwei     10wei
  Tokens      12.5usdc           (a token the wallet knows, by its symbol)

Fee rates carry their unit too.

  Bitcoin     12.5sat/vb
  Ethereum    30gwei             (the most to pay for one unit of gas; add the tip after a colon: 30gwei:2gwei)

With --json amounts are whole numbers of the smallest unit (satoshi, wei, token units), written as text: many programs
round larger numbers. Only 'bursar demo' and the details of errors give them as numbers.
"""

JSON = """\
With --json, anywhere on the line, standard output holds exactly one JSON document, whether the command worked or not;
the exit code tells which. A failure looks like this:

  {"error": {"code": "funds.insufficient", "message": "…", "retryable": false, "details": {"needed": 2, …}}}

The code is stable; the message is for people and may change. "retryable" is true where the same command may succeed
later with nothing changed. Questions, reviews and progress go to the terminal or to standard error.
"""

FILES = """\
The wallet's folder is --home, else $BURSAR_HOME, else ~/.bursar. Only its owner may read it.

  config.toml          chains and nodes; yours to edit
  policy.toml          who may be paid how much; yours to edit ('bursar policy check' reads it)
  keystores/NAME.json  encrypted keys. Without the password it is useless, so back up the mnemonic
  wallet.db            accounts, coins, transfers and the journal
  ledger/              what is registered on Ledgers, with their proofs; 'bursar backup' takes it along
  silent/              silent payments: addresses, labels given out, what scans found; no keys; 'bursar backup' has it
  sandbox/             the private chains of 'bursar sandbox'
"""

SECRETS = """\
Passwords and mnemonics never come from arguments or the environment, where other programs can read them.

  at the terminal      asked for, not echoed (the default)
  --password-fd N      the next line of file descriptor N:   bursar send … --password-fd 3 3< <(pass show bursar)
  --mnemonic-fd N      the same for 'init' (written to N) and 'restore' (read from N)
  --shares-fd N        the same for shares, a line each, and for 'keys split' (written to N)
  --keyring            the password is kept by the operating system (needs the extra 'keyring')
"""


def _exit_codes() -> str:
    lines = ["The exit code tells the class of an error; the same classes have the codes below in JSON.", ""]
    for number, code, meaning in exits.table():
        lines.append(f"  {number:>3}  {code:<20} {meaning}")
    return "\n".join(lines) + "\n"


TOPICS: dict[str, str | None] = {
    "amounts": AMOUNTS,
    "exit-codes": None,
    "files": FILES,
    "json": JSON,
    "secrets": SECRETS,
}


@command("help", examples=("bursar help exit-codes", "bursar help amounts", "bursar help exit-codes --json"))
@click.argument("topic", type=click.Choice(list(TOPICS)), required=False, metavar="[TOPIC]")
@click.pass_context
def help(ctx: click.Context, topic: str | None) -> None:  # noqa: A001 (the command's name)
    """Explain TOPIC: amounts, exit-codes, files, json or secrets. Without one, show all commands."""
    output = ctx.ensure_object(Session).output
    if topic is None:
        root = ctx.find_root()
        text = root.get_help()
        output.answer({"help": text}, lambda: click.echo(text))
    elif topic == "exit-codes":
        rows = [{"exit_code": number, "code": code, "meaning": meaning} for number, code, meaning in exits.table()]
        output.answer({"exit_codes": rows}, lambda: click.echo(_exit_codes(), nl=False))
    else:
        text = TOPICS[topic] or ""
        output.answer({"topic": topic, "text": text}, lambda: click.echo(text, nl=False))
