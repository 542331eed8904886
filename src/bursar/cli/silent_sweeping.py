"""What a sweep of silent payments spends, from the record of scans held against the node; its fee and its review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.errors import ConflictError, CorruptStoreError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.bitcoin.address import Address
    from bursar.bitcoin.build import BuiltTransfer
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.silent_payments.sweeping import SilentCoin
    from bursar.bitcoin.units import FeeRate
    from bursar.chain.protocols import BitcoinBackend, ChainUpdate, FeeEstimator, Speed
    from bursar.cli.silent_book import Book, Found
    from bursar.policy.review import Review
    from bursar.wallet.wallet import Wallet


@dataclass(frozen=True, slots=True)
class Sweepable:
    """The coins to spend and the tip they were seen at; ``leaving`` names what is on its way out, and by what."""

    coins: tuple[SilentCoin, ...]
    tip_height: int
    leaving: Mapping[str, str]


def spend_key(book: Book, network: Network) -> bytes:
    """The public spend key as the record says it; a signer compares it with its own."""
    from bursar.bitcoin.silent_payments import SilentPaymentAddress

    try:
        return SilentPaymentAddress.from_text(book.address, network).spend
    except InvalidInputError as error:
        raise _damaged(book, error.message) from error


def sweepable(book: Book, network: Network, named: Sequence[str], spend: bytes, node: BitcoinBackend) -> Sweepable:
    """The coins ``named``, or all that are left, each of them confirmed, unspent, and what the record says.

    ``ConflictError`` (``conflict.coin``): a transaction that waits for a block spends them already.
    ``InvalidInputError``: ``input.coin.fixed`` for a name that cannot be spent, ``input.silent-payment.spent`` where
    nothing is left. ``CorruptStoreError``: the record says of a coin what the node or the key denies.
    """
    from bursar.chain.protocols import SyncRequest

    wanted = _wanted(book, named)
    known = {one.coin: _coin(book, one, network) for one in wanted}
    scripts = tuple(dict.fromkeys(coin.output.script for coin in known.values()))
    if not scripts:
        raise _nothing_left()
    update = node.sync(SyncRequest(scripts, birthday=max(0, min(one.height for one in wanted))))
    leaving = _leaving(update)
    unspent = {str(coin.outpoint): coin for coin in update.coins}
    coins = []
    for name, coin in known.items():
        there = unspent.get(name)
        if there is None or name in leaving:
            continue
        if there.output != coin.output:
            raise _damaged(
                book,
                f"{name} is said to hold {coin.output.value} sat, the node says {there.output.value} sat"
                if there.output.script == coin.output.script
                else f"{name} is said to be an output with another script than the node knows",
            )
        try:
            coin.check_key(spend)
        except InvalidInputError as error:
            raise _damaged(book, error.message) from error
        coins.append(coin)
    on_the_way = {name: leaving[name] for name in known if name in leaving}
    if named and len(coins) < len(known):
        name = next(name for name in known if name not in {str(coin.outpoint) for coin in coins})
        if name in on_the_way:
            raise _on_its_way(name, on_the_way[name])
        raise InvalidInputError(
            f"coin {name} is not confirmed, or spent: see 'bursar silent scan'", code="input.coin.fixed"
        )
    if not coins:
        for name, txid in on_the_way.items():
            raise _on_its_way(name, txid)
        raise _nothing_left()
    return Sweepable(tuple(coins), update.tip.height, on_the_way)


def fee_rate(
    node: BitcoinBackend, network: Network, speed: Speed, rate: str | None, others: Mapping[str, FeeEstimator]
) -> FeeRate:
    """The rate given, or the estimate for ``speed``, both within the usual caps."""
    from bursar.bitcoin.units import FeeRate
    from bursar.chain.estimates import cross_checked
    from bursar.chain.fees import TARGET_BLOCKS, FeeCaps, bitcoin_fee_rate

    caps = FeeCaps()
    if rate is not None:
        return caps.check_bitcoin(FeeRate.from_text(rate))
    blocks = TARGET_BLOCKS[speed]
    estimate: FeeRate | None
    if others:
        estimate = cross_checked({"the node": node, **others}, target_blocks=blocks, caps=caps).rate
    else:
        estimate = node.fee_rate(target_blocks=blocks)
    return bitcoin_fee_rate(estimate, node.min_fee_rate(), network=network, caps=caps)


def account_name(book: Book) -> str:
    """What a policy's rules call the coins of this record."""
    return f"silent-{book.fingerprint}-{book.number}"


def review_of(built: BuiltTransfer, to: Address, book: Book, wallet: Wallet) -> Review:
    """Every output in words; nothing comes back to the silent payment address."""
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.units import FeeRate
    from bursar.policy.review import Asset, Payment, Review, ReviewWarning
    from bursar.wallet.cautions import Facts, cautions

    network = to.network
    asset = Asset("bitcoin", network.name, "BTC", 8)
    payments = tuple(
        Payment(asset, str(Address.from_script(output.script, network)), int(output.value))
        for output in built.psbt.tx.outputs
    )
    own = _own(wallet, network)
    paid = {order.to for made in wallet.transfers() for order in made.transfer.payments}
    fee = int(built.fee)
    warnings = list(cautions(payments, fee=fee, facts=Facts(own=own, paid_before=paid - own)))
    scripts = {coin.output.script for coin in built.coins}
    if len(scripts) > 1:
        text = f"spends {len(scripts)} silent payments at once: everybody sees that they have one owner (--coin)"
        warnings.append(ReviewWarning("linked-coins", text))
    return Review(
        chain="bitcoin",
        network=network.name,
        account=account_name(book),
        payments=payments,
        change=(),
        fee=fee,
        max_fee=fee,
        fee_asset=asset,
        fee_rate=str(FeeRate.of(fee, built.vsize)),
        warnings=tuple(warnings),
        extra={"coins": len(built.coins), "virtual size": built.vsize, "locktime": built.psbt.tx.locktime},
    )


def _wanted(book: Book, named: Sequence[str]) -> list[Found]:
    from bursar.bitcoin.transaction import OutPoint

    if not named:
        return list(book.found.values())
    wanted = []
    for text in dict.fromkeys(str(OutPoint.from_text(one)) for one in named):
        if text not in book.found:
            raise InvalidInputError(
                f"{text} is no payment that was found: see 'bursar silent list'", code="input.coin.fixed"
            )
        wanted.append(book.found[text])
    return wanted


def _coin(book: Book, one: Found, network: Network) -> SilentCoin:
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.silent_payments.sweeping import SilentCoin
    from bursar.bitcoin.transaction import OutPoint, TxOut
    from bursar.bitcoin.units import Sats
    from bursar.crypto.secret import Secret

    try:
        if type(one.amount) is not int or type(one.height) is not int:
            raise TypeError("a number")
        output = TxOut(Sats(one.amount), Address.from_text(one.address, network).script)
        return SilentCoin(OutPoint.from_text(one.coin), output, Secret(bytes.fromhex(one.tweak)), one.height)
    except (InvalidInputError, AttributeError, TypeError, ValueError) as error:
        raise _damaged(book, "a payment in it makes no sense") from error


def _leaving(update: ChainUpdate) -> dict[str, str]:
    return {
        str(spent.outpoint): str(one.tx.txid)
        for one in update.transactions
        if one.block is None
        for spent in one.tx.inputs
    }


def _own(wallet: Wallet, network: Network) -> set[str]:
    from bursar.wallet.accounts import AnyEthereum

    return {
        one.address
        for record in wallet.accounts()
        if not isinstance(record.account, AnyEthereum) and record.account.network == network
        for one in wallet.addresses(record.name)
    }


def _on_its_way(name: str, txid: str) -> ConflictError:
    return ConflictError(
        f"{name} is spent already by {txid}, which waits for a block: if it waits too long, lift it from the account "
        "it pays with 'bursar cpfp'",
        code="conflict.coin",
    )


def _nothing_left() -> InvalidInputError:
    return InvalidInputError(
        "no silent payment that was found is left to spend: look for new ones with 'bursar silent scan'",
        code="input.silent-payment.spent",
    )


def _damaged(book: Book, why: str) -> CorruptStoreError:
    return CorruptStoreError(f"{book.path} does not hold what was scanned: {why}; delete it and scan again")
