"""``bursar eth``: what only Ethereum has. Each command lives in a module of its own, imported when it is run."""

from __future__ import annotations

import click

from bursar.cli.lazy import Entry, LazyGroup

PAYMENTS, WAITING = "Payments and calls", "What is on its way, and what came"
MESSAGES, CONTRACTS, RAW = "Messages", "Accounts that are contracts", "Transactions as bytes"


def _entry(section: str, name: str, module: str, text: str) -> tuple[str, Entry]:
    return name, Entry(section, f"bursar.cli.commands.{module}", name.replace("-", "_"), text)


# one line for each: section, name, module below bursar.cli.commands, help; its attribute is the name with _ for -
COMMANDS = dict(
    [
        _entry(PAYMENTS, "send", "eth_send", "Pay ether or a token: to an address, a name or as a URI asks."),
        _entry(PAYMENTS, "token", "eth_token", "Tokens: what contracts say, registering them, paying with them."),
        _entry(PAYMENTS, "nft", "eth_nft", "Tokens with numbers (ERC-721, ERC-1155)."),
        _entry(PAYMENTS, "allowance", "eth_allowance", "Who may take tokens without asking again."),
        _entry(PAYMENTS, "call", "eth_call", "Ask a contract, call one, or create one."),
        _entry(PAYMENTS, "blob", "eth_blob", "Publish files as blobs (EIP-4844)."),
        _entry(WAITING, "speed-up", "eth_speed_up", "Raise the fee of a transaction that waits."),
        _entry(WAITING, "cancel", "eth_speed_up", "Take a transaction back, while that is possible."),
        _entry(WAITING, "nonces", "eth_nonces", "Nonces given out and missing; fill a gap."),
        _entry(WAITING, "deposits", "eth_deposits", "What came in by itself: seen, confirmed or reversed."),
        _entry(MESSAGES, "sign-message", "eth_messages", "Review and sign a message or a sign-in (EIP-191, 4361)."),
        _entry(MESSAGES, "sign-typed", "eth_typed", "Review and sign typed data (EIP-712)."),
        _entry(MESSAGES, "verify", "eth_verify", "Check signatures of keys and of contracts."),
        _entry(RAW, "decode", "eth_decode", "What the bytes of a transaction are and do."),
        _entry(RAW, "publish", "eth_publish", "Hand a transaction signed elsewhere to the node."),
        _entry(CONTRACTS, "delegate", "eth_delegate", "Let an account run a contract's code (EIP-7702)."),
        _entry(CONTRACTS, "safe", "eth_safe", "Propose, show, sign and execute transactions of Safes."),
        _entry(CONTRACTS, "userop", "eth_userop", "Hash, sign and verify user operations (ERC-4337)."),
    ]
)


@click.group(
    "eth",
    cls=LazyGroup,
    entries=COMMANDS,
    examples=(
        "bursar eth send gas pay.example.eth 0.5eth",
        "bursar eth call gas 0x… 'deposit()' --value 0.5eth --dry-run",
        'bursar eth sign-message "I own this address" --account gas',
        "bursar eth sign-typed permit.json --account gas",
        'bursar eth verify 0x… 0x… "I own this address"',
    ),
)
def eth() -> None:
    """What only Ethereum has: its messages, contracts, tokens and nonces."""
