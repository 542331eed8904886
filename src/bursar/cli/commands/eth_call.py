"""``bursar eth call``: ask a contract, or call one in a transaction (Solidity's contract ABI)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import action_options, carry_out, chain_of, ethereum_account, node, payee
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError
from bursar.wallet.actions import ContractCall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.ethereum_sending import How
    from bursar.cli.session import Session
    from bursar.ethereum.abi import AbiFunction
    from bursar.ethereum.access_list import AccessListEntry
    from bursar.ethereum.address import Address
    from bursar.wallet.plan import Plan
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.wallet import Wallet


_LARGEST = 1 << 24  # bytes of a compiler's JSON
_DEEPEST = 100


@command(
    "call",
    examples=(
        "bursar eth call gas 0x… 'balanceOf(address) returns (uint256)' 0x… --read",
        "bursar eth call gas 0x… 'deposit()' --value 0.5eth",
        "bursar eth call gas 0x… 'setOwners(address[],uint8)' '[\"0x…\",\"0x…\"]' 2 --dry-run",
        "bursar eth call gas 0x… --data 0xd0e30db0 --value 0.5eth",
        "bursar eth call gas --create contract.bin         # init code: a new contract",
        "bursar eth call gas --create Vault.json 'constructor(address,uint8)' 0x… 2",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("contract", required=False)
@click.argument("signature", required=False)
@click.argument("values", nargs=-1)
@click.option("--read", is_flag=True, help="Only ask what the contract answers; nothing is sent.")
@click.option("--data", metavar="0xHEX", help="The calldata itself, instead of SIGNATURE and VALUES.")
@click.option(
    "--create",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Make a contract: of init code (hex, bytes), or a compiler's JSON.",
)
@click.option("--value", metavar="AMOUNT", help="Coins that go along: 0.5eth.")
@click.option("--gas-limit", type=click.IntRange(min=21_000), metavar="GAS", help="Instead of the node's estimate.")
@click.option("--access-list", metavar="auto|FILE", help="Declare what the call touches (EIP-2930): ask, or JSON.")
@action_options
@pass_session
def call(
    session: Session,
    account: str,
    contract: str | None,
    signature: str | None,
    values: Sequence[str],
    read: bool,
    data: str | None,
    create: str | None,
    value: str | None,
    gas_limit: int | None,
    access_list: str | None,
    how: How,
) -> None:
    """Call the function SIGNATURE of CONTRACT with VALUES, from ACCOUNT.

    SIGNATURE is like 'transfer(address,uint256)'. Numbers are decimal, 0x hex or amounts of ether (1.5eth); bytes are
    0x hex; arrays and tuples are JSON lists of texts. The review shows what the call does in effect; a call nobody
    can decode is refused unless the policy allows it (allow-calls). --create takes no CONTRACT, and the constructor's
    SIGNATURE where that takes VALUES. With --access-list auto the node says which slots it touches.
    """
    from bursar.cli.amounts import coin_amount
    from bursar.ethereum.abi import AbiFunction
    from bursar.ethereum.abi.written import read_values

    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    wei = 0 if value is None else coin_amount(value, compose.coin(session, record))
    listed = _access(access_list)
    if create is not None:
        if data is not None or read:
            raise InvalidInputError("--create takes no --data and no --read", code="input.usage")
        given = [one for one in (signature, *values) if one is not None]
        action = ContractCall(None, _init_code(create) + _arguments(contract, given), wei, gas_limit, listed)
        made = carry_out(session, wallet, record, action=action, how=how)
        if made is not None:
            session.output.aside(f"Contract    {_created(made)}, once that transaction is in a block")
        return
    if contract is None:
        raise InvalidInputError("name the contract to call", code="input.usage")
    if (signature is None) == (data is None) or (data is not None and values):
        raise InvalidInputError("give SIGNATURE with VALUES, or --data alone", code="input.usage")
    to, _name = payee(session, contract, chain_of(record))
    function = None if signature is None else AbiFunction.from_text(signature)
    calldata = _hex(data) if function is None else function.encode_call(*read_values(function.inputs, values))
    if read:
        _ask(session, wallet, record, to, calldata, function, how.source)
        return
    action = ContractCall(str(to), calldata, wei, gas_limit, listed)
    carry_out(session, wallet, record, action=action, how=how)


def _access(given: str | None) -> tuple[AccessListEntry, ...] | Literal["auto"]:
    from bursar.ethereum.access_list_json import LONGEST, read_access_list
    from bursar.wallet.actions import AUTO

    if given is None or given == AUTO:
        return () if given is None else AUTO
    if not Path(given).is_file():
        raise InvalidInputError(f"--access-list is auto or a file; there is no {given[:60]!r}", code="input.usage")
    with Path(given).open("rb") as file:
        return read_access_list(file.read(LONGEST + 1))


def _created(plan: Plan) -> Address:
    """Where the contract comes to stand: its place follows from its maker and the nonce."""
    from bursar.crypto import rlp
    from bursar.crypto.hashes import keccak256
    from bursar.ethereum.address import Address

    nonce = int(plan.review.extra["nonce"])
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    return Address(keccak256(rlp.encode([Address.from_text(str(plan.sender)).value, number]))[12:])


def _ask(
    session: Session,
    wallet: Wallet,
    record: AccountRecord,
    to: Address,
    calldata: bytes,
    function: AbiFunction | None,
    source: str | None,
) -> None:
    from bursar.ethereum.abi.written import shown
    from bursar.ethereum.address import Address

    sender = Address.from_text(source or wallet.addresses(record.name)[0].address)
    backend = node(session, record)
    if not backend.code(to):
        raise InvalidInputError(f"there is no contract at {to} on this chain", code="input.address")
    answer = backend.call(to, calldata, sender=sender)
    if function is None or not function.outputs:
        session.output.answer({"data": "0x" + answer.hex()}, lambda: click.echo("0x" + answer.hex()))
        return
    found = [shown(one) for one in function.decode_result(answer)]

    lines = [
        f"{one.type} {one.name}".rstrip() + f": {json.dumps(value)}"
        for one, value in zip(function.outputs, found, strict=True)
    ]
    document = {"values": found, "data": "0x" + answer.hex()}
    session.output.answer(document, lambda: click.echo("\n".join(lines)))


def _hex(text: str | None) -> bytes:
    try:
        if text is None or text[:2] != "0x":
            raise ValueError
        return bytes.fromhex(text[2:])
    except ValueError:
        raise InvalidInputError("--data is 0x and pairs of hexadecimal digits", code="input.usage") from None


def _init_code(path: str) -> bytes:
    with Path(path).open("rb") as file:
        raw = file.read(_LARGEST)
    if raw.lstrip()[:1] == b"{":
        raw = _of_artifact(path, raw)
    text = raw.strip().removeprefix(b"0x")
    try:
        code = bytes.fromhex(text.decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        code = raw
    if not code:
        raise InvalidInputError(f"{path} is empty: it should hold init code", code="input.usage")
    return code


def _of_artifact(path: str, raw: bytes) -> bytes:
    """The text of ``bytecode`` in the JSON that compilers and their tools write."""
    from bursar.json_text import nested_deeply

    try:
        if nested_deeply(raw, most=_DEEPEST):
            raise ValueError("too deep")
        found = json.loads(raw)["bytecode"]
        return str(found["object"] if isinstance(found, dict) else found).encode("ascii")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidInputError(
            f"{path} is JSON without a 'bytecode' of hexadecimal digits", code="input.usage"
        ) from error


def _arguments(signature: str | None, values: Sequence[str]) -> bytes:
    """What a constructor is given, as it follows the init code."""
    from bursar.ethereum.abi import AbiFunction
    from bursar.ethereum.abi.written import read_values

    if signature is None:
        return b""
    function = AbiFunction.from_text(signature)
    if function.name != "constructor":
        raise InvalidInputError(
            "--create takes no contract, and of functions only 'constructor(…)'", code="input.usage"
        )
    return function.encode_call(*read_values(function.inputs, values))[4:]
