"""``bursar eth blob``: publish files as blobs beside a transaction (EIP-4844, EIP-7594)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import action_options, carry_out, chain_of, ethereum_account, payee
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.ethereum_sending import How
    from bursar.cli.session import Session


@command(
    "blob",
    examples=(
        "bursar eth blob gas 0x… batch.bin",
        "bursar eth blob gas 0x… batch-1.bin batch-2.bin --blob-fee 5gwei --max-fee 0.01eth",
        "bursar eth blob gas 0x… field-elements.bin --raw --data 0x… --value 0.1eth",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("to")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--raw", is_flag=True, help="FILES are ready blobs: 131,072 bytes each, numbers below the field's order.")
@click.option("--data", metavar="0xHEX", help="Calldata for TO.")
@click.option("--value", metavar="AMOUNT", help="Coins that go along: 0.5eth.")
@click.option("--blob-fee", metavar="PRICE", help="The most for one gas of blobs: 5gwei.  [default: twice the present]")
@action_options
@pass_session
def blob(
    session: Session,
    account: str,
    to: str,
    files: Sequence[str],
    raw: bool,
    data: str | None,
    value: str | None,
    blob_fee: str | None,
    how: How,
) -> None:
    """Publish FILES as blobs with a transaction from ACCOUNT to TO. Nodes keep blobs for about 18 days.

    The bytes of each file are packed 31 to each number of 32, with their length before them, as 'cast send --blob' does
    it: 761,825 bytes fit into the six blobs of one transaction. Blobs have a price of their own, which is part of the
    review's fee. They can be read by everybody.
    """
    from bursar.cli.amounts import coin_amount
    from bursar.ethereum.blobs.packing import pack
    from bursar.wallet.actions import SendBlobs

    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    coin = compose.coin(session, record)
    wei = 0 if value is None else coin_amount(value, coin)
    price = None if blob_fee is None else coin_amount(blob_fee, coin)
    contents = [_content(file) for file in files]
    blobs = _ready(files, contents) if raw else pack(contents)
    target, _name = payee(session, to, chain_of(record))
    action = SendBlobs(str(target), blobs, _hex(data), wei)
    carry_out(session, wallet, record, action=action, how=how, blob_rate=price)


def _content(name: str) -> bytes:
    from bursar.ethereum.blobs.sidecar import BLOB_BYTES
    from bursar.ethereum.transaction.kinds import MAX_BLOBS

    with Path(name).open("rb") as file:
        content = file.read(MAX_BLOBS * BLOB_BYTES + 1)
    if not content:
        raise InvalidInputError(f"{name} is empty", code="input.blob")
    return content


def _ready(files: Sequence[str], contents: Sequence[bytes]) -> tuple[bytes, ...]:
    from bursar.ethereum.blobs.sidecar import BLOB_BYTES

    for name, content in zip(files, contents, strict=True):
        if len(content) % BLOB_BYTES:
            raise InvalidInputError(
                f"{name} has {len(content)} bytes: with --raw a file holds blobs of {BLOB_BYTES}", code="input.blob"
            )
    joined = b"".join(contents)
    return tuple(joined[start : start + BLOB_BYTES] for start in range(0, len(joined), BLOB_BYTES))


def _hex(text: str | None) -> bytes:
    if text is None:
        return b""
    try:
        if text[:2] != "0x":
            raise ValueError
        return bytes.fromhex(text[2:])
    except ValueError:
        raise InvalidInputError("--data is 0x and pairs of hexadecimal digits", code="input.usage") from None
