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
        _entry(MESSAGES, "sign-message", "eth_messages", "Review and sign a message or a sign-in (EIP-191, 4361)."),
        _entry(MESSAGES, "sign-typed", "eth_typed", "Review and sign typed data (EIP-712)."),
        _entry(MESSAGES, "verify", "eth_verify", "Check signatures of keys and of contracts."),
    ]
)


@click.group(
    "eth",
    cls=LazyGroup,
    entries=COMMANDS,
    examples=(
        'bursar eth sign-message "I own this address" --account gas',
        "bursar eth sign-typed permit.json --account gas",
        'bursar eth verify 0x… 0x… "I own this address"',
    ),
)
def eth() -> None:
    """What only Ethereum has: its messages, contracts, tokens and nonces."""
