"""``bursar eth``: what only Ethereum has. Each command lives in a module of its own, imported when it is run."""

from __future__ import annotations

import click

from bursar.cli.lazy import Entry, LazyGroup

MESSAGES = "Messages"


def _entry(section: str, name: str, module: str, text: str) -> tuple[str, Entry]:
    return name, Entry(section, f"bursar.cli.commands.{module}", name.replace("-", "_"), text)


# one line for each: section, name, module below bursar.cli.commands, help; its attribute is the name with _ for -
COMMANDS = dict(
    [
        _entry(MESSAGES, "sign-typed", "message", "Review and sign typed data (EIP-712)."),
    ]
)


@click.group(
    "eth",
    cls=LazyGroup,
    entries=COMMANDS,
    examples=("bursar eth sign-typed permit.json --account gas",),
)
def eth() -> None:
    """What only Ethereum has: its messages, contracts, tokens and nonces."""
