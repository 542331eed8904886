"""The options of ``send`` about coins: which are spent, chosen how, by whom; Bitcoin only."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from bursar.errors import InvalidInputError
from bursar.wallet.coin_control import CoinControl, SpendWith, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bursar.wallet.records import AccountRecord

_LONGEST = 10_000


def spend_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which of a descriptor's ways to spend; handed over as ``spend_with``."""

    @wraps(function)
    def packed(*args: Any, cosigner: Sequence[str], preimages: str | None, timelocked: bool, **options: Any) -> Any:
        chosen = SpendWith(
            signers=tuple(one.lower() for one in cosigner) or None,
            preimages=_preimages(preimages),
            locks=timelocked,
        )
        return function(*args, spend_with=chosen, **options)

    for option in (
        click.option("--timelocked", is_flag=True, help="Spend by a way behind a timelock where it costs less."),
        click.option(
            "--preimages", type=click.Path(), metavar="FILE", help="File with the preimages of hash locks, in hex."
        ),
        click.option("--cosigner", multiple=True, metavar="FINGERPRINT", help="Who shall sign; may be repeated."),
    ):
        packed = option(packed)
    return packed


def coin_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Handed over as ``coin_control``."""

    @wraps(function)
    def packed(
        *args: Any,
        coin: Sequence[str],
        only_coins: bool,
        exclude: Sequence[str],
        strategy: Strategy,
        min_confirmations: int | None,
        subtract_fee: bool,
        data: str | None,
        spend_with: SpendWith,
        **options: Any,
    ) -> Any:
        control = CoinControl(
            coins=tuple(coin),
            coins_only=only_coins,
            exclude=tuple(exclude),
            strategy=strategy,
            min_confirmations=min_confirmations,
            subtract_fee=subtract_fee,
            data=None if data is None else _data(data),
            spend_with=spend_with,
        )
        return function(*args, coin_control=control, **options)

    result = spend_options(packed)
    for option in (
        click.option("--data", metavar="TEXT|0xHEX", help="Put up to 80 bytes on the chain (OP_RETURN)."),
        click.option("--subtract-fee", is_flag=True, help="The payees bear the fee, in equal parts."),
        click.option(
            "--min-confirmations", type=click.IntRange(min=0), metavar="N", help="Spend no younger coins; 0: any."
        ),
        click.option(
            "--strategy",
            type=click.Choice(get_args(Strategy)),
            default="default",
            help="How coins are chosen (default: with the least waste).",
        ),
        click.option("--exclude", multiple=True, metavar="COIN|ADDRESS", help="Leave it alone; may be repeated."),
        click.option("--only-coins", is_flag=True, help="Spend those named with --coin and no others."),
        click.option("--coin", multiple=True, metavar="COIN", help="Spend this coin (txid:vout); may be repeated."),
    ):
        result = option(result)
    return result


def fields_for(record: AccountRecord, control: CoinControl) -> dict[str, Any]:
    """The transfer's fields; ``InvalidInputError`` for an account without coins."""
    if control == CoinControl():
        return {}
    if record.chain != "bitcoin":
        raise InvalidInputError("options about coins are for bitcoin accounts", code="input.usage")
    return {
        "coins": control.coins,
        "coins_only": control.coins_only,
        "exclude": control.exclude,
        "strategy": control.strategy,
        "min_confirmations": control.min_confirmations,
        "subtract_fee": control.subtract_fee,
        "data": control.data,
        "spend_with": control.spend_with,
    }


def _data(text: str) -> bytes:
    if not text.startswith("0x"):
        return text.encode()
    try:
        return bytes.fromhex(text[2:])
    except ValueError as error:
        raise InvalidInputError("--data after 0x is pairs of hexadecimal digits", code="input.usage") from error


def _preimages(path: str | None) -> tuple[str, ...]:
    if path is None:
        return ()
    with Path(path).open("rb") as file:
        return tuple(file.read(_LONGEST).decode("ascii", "replace").lower().split())
