"""User operations (ERC-4337) on the command line: read bounded, shown field by field, judged by what they do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli import compose

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.cli.session import Session
    from bursar.ethereum.user_operation import EntryPoint, UserOperation
    from bursar.policy.review import Review

VERSIONS = ("0.6", "0.7", "0.8")  # of EntryPointVersion
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
            type=click.Choice(VERSIONS),
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
    from bursar.ethereum.address import Address
    from bursar.ethereum.json_object import read_object
    from bursar.ethereum.user_operation import EntryPoint, EntryPointVersion, UserOperation

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
    """What the operation does, for people and the policy; what its gas may cost the smart account counts as the fee."""
    from bursar.cli.ethereum_accounts import coin_symbol
    from bursar.ethereum.user_operation import EntryPointVersion
    from bursar.policy.review import ReviewWarning
    from bursar.policy.typed_data import review_of_typed_data

    tokens = {found.contract: found for found in compose.wallet(session).tokens() if found.chain_id == point.chain_id}
    # version 0.8 has a form to review; in older ones the same members mean the same
    typed = one.typed_data(replace(point, version=EntryPointVersion.V08))
    review = review_of_typed_data(
        typed,
        account=account,
        chain_id=point.chain_id,
        tokens=tokens,
        symbol=coin_symbol(session, point.chain_id),
    )
    warnings = []
    if one.delegate is not None:
        warnings.append(ReviewWarning("delegate", f"the account runs the code of {one.delegate}"))
    if one.paymaster is not None and not one.paymaster.is_zero:
        text = f"{one.paymaster} pays for the gas, on terms that only its data tell"
        warnings.append(ReviewWarning("paymaster", text))
    extra = {
        "smart account": str(one.sender),
        "entry point": f"{point.address}, version {point.version.value}",
        "user operation nonce": hex(one.nonce),
        "gas": f"{one.call_gas_limit} call, {one.verification_gas_limit} check, {one.pre_verification_gas} before",
    }
    return replace(review, warnings=(*review.warnings, *warnings), extra={**review.extra, **extra})


def operation_text(one: UserOperation, point: EntryPoint, review: Review) -> str:
    """All of it for the one who decides."""
    from bursar.policy.render import review_text

    lines = ["User operation to sign (ERC-4337)", "", review_text(review), "Every member of it"]
    members = {name: value for name, value in one.to_rpc(point).items() if name != "signature"}
    width = max(map(len, members))
    lines += [f"  {name.ljust(width)}  {_shortened(value)}" for name, value in members.items()]
    lines += ["", f"userOpHash  0x{one.digest(point).hex()}"]
    return "\n".join(lines) + "\n"


def _shortened(text: str) -> str:
    return text if len(text) <= 402 else f"{text[:402]}… ({len(text) // 2 - 1} bytes)"
