"""User operations (ERC-4337) on the command line: read bounded, shown field by field, judged by what they do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli import compose
from bursar.cli.contract_review import ContractReview
from bursar.ethereum.address import Address
from bursar.ethereum.json_object import read_object
from bursar.ethereum.safe import MultiSendCall
from bursar.ethereum.units import Wei
from bursar.ethereum.user_operation import EntryPoint, EntryPointVersion, UserOperation
from bursar.policy.render import review_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.cli.session import Session
    from bursar.policy.review import Review

_LARGEST = 3_000_000  # bytes: calldata of the longest operation, in hexadecimal


def operation_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which entry point the operation in FILE is for."""
    for option in (
        click.option("--delegate", metavar="ADDRESS", help="Whose code the account runs (EIP-7702, factory 0x7702)."),
        click.option("--entry-point", "contract", metavar="ADDRESS", help="Another than the well-known entry point."),
        click.option("--chain", "which", metavar="CHAIN", help="Name or id of the chain (default: of new accounts)."),
        click.option(
            "--version",
            "version",
            type=click.Choice([one.value for one in EntryPointVersion]),
            required=True,
            help="Version of the entry point.",
        ),
    ):
        function = option(function)
    return click.argument("file", type=click.Path(allow_dash=True))(function)


def read_operation(
    session: Session, file: str, *, version: str, which: str | None, contract: str | None, delegate: str | None
) -> tuple[UserOperation, EntryPoint]:
    """The operation in a file ('-': standard input), JSON as for ``eth_sendUserOperation``, and its entry point."""
    if file == "-":
        raw = sys.stdin.buffer.read(_LARGEST + 1)
    else:
        with Path(file).open("rb") as opened:
            raw = opened.read(_LARGEST + 1)
    data = read_object(raw, name="the user operation", code="input.user-operation", most=_LARGEST)
    wanted = EntryPointVersion(version)
    whose = None if delegate is None else Address.from_text(delegate)
    chain_id = compose.chain_id_of(session, which)
    known = EntryPoint.known(wanted, chain_id)
    point = known if contract is None else EntryPoint(wanted, chain_id, Address.from_text(contract))
    return UserOperation.from_rpc(data, wanted, delegate=whose), point


def review_of(session: Session, one: UserOperation, point: EntryPoint, account: str) -> Review:
    """What the operation's calldata does, as a call of the account by itself; what it may cost counts as a fee."""
    made = ContractReview.known_to(session, one.sender, point.chain_id)
    if one.call_data:
        made.add_call(MultiSendCall(one.sender, Wei(0), one.call_data))
    if one.factory is not None:
        made.warn("account-creation", f"the factory {one.factory} creates the account first, from data shown below")
    if one.delegate is not None:
        made.warn("delegation", f"the account runs the code of {one.delegate}")
    if one.paymaster is not None:
        made.warn("paymaster", f"{one.paymaster} pays for it, on terms that only its data tell")
    fee = 0 if one.paymaster is not None else one.max_gas_cost
    rate = f"{Wei(one.max_fee_per_gas).to_gwei_text()}, of it {Wei(one.max_priority_fee_per_gas).to_gwei_text()} tip"
    extra: dict[str, str | int] = {
        "smart account": str(one.sender),
        "entry point": f"{point.address}, version {point.version.value}",
        "user operation nonce": hex(one.nonce),
        "gas": f"{one.call_gas_limit} call, {one.verification_gas_limit} check, {one.pre_verification_gas} before",
    }
    return made.review(account, fee=fee, fee_rate=rate, extra=extra)


def operation_text(one: UserOperation, point: EntryPoint, review: Review) -> str:
    """All of it for the one who decides."""
    lines = ["User operation to sign (ERC-4337)", "", review_text(review), "Every member of it"]
    members = {name: value for name, value in one.to_rpc(point).items() if name != "signature"}
    width = max(map(len, members))
    lines += [f"  {name.ljust(width)}  {_shortened(value)}" for name, value in members.items()]
    lines += ["", f"userOpHash  0x{one.digest(point).hex()}"]
    return "\n".join(lines) + "\n"


def _shortened(text: str) -> str:
    return text if len(text) <= 402 else f"{text[:402]}… ({len(text) // 2 - 1} bytes)"
