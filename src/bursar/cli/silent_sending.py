"""Paying silent payment addresses (BIP-352): the outputs follow from the inputs' secret keys, so coins come first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError, UnsupportedError
from bursar.wallet.transfer import MAX_TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.network import Network
    from bursar.bitcoin.silent_payments import SilentPaymentAddress
    from bursar.chain.protocols import BitcoinBackend, EthereumBackend
    from bursar.signing.protocols import Signer
    from bursar.wallet.plan import Plan
    from bursar.wallet.records import AccountRecord, TransferRecord
    from bursar.wallet.transfer import PaymentOrder, Transfer
    from bursar.wallet.wallet import Wallet

_MARK = "silent payment to "


def is_silent(text: str) -> bool:
    """Whether a payee was written as a silent payment address."""
    return text.lower().startswith(("sp1", "tsp1"))


def check_possible(record: AccountRecord, payments: Sequence[PaymentOrder], *, everything: bool, keyed: bool) -> None:
    """Raise before anybody is asked a password where it cannot be."""
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.silent_payments import SilentPaymentAddress

    account = record.account
    if not isinstance(account, BitcoinAccount):
        raise UnsupportedError(
            "a silent payment's output follows from the secret keys of its inputs, so it is made by an account of one "
            f"key in software; {record.name!r} is another kind: ask the payee for an ordinary address",
            operation="silent_payment",
        )
    if everything:
        raise InvalidInputError("name an amount: 'all' cannot be paid to a silent payment address", code="input.amount")
    if keyed:
        raise InvalidInputError(
            "a silent payment's output follows from the coins of the moment, so that it is never the same transfer: "
            "leave --idempotency-key out",
            code="input.usage",
        )
    for order in payments:
        if is_silent(order.to):
            SilentPaymentAddress.from_text(order.to, account.network)


def resolve(
    wallet: Wallet, transfer: Transfer, backend: BitcoinBackend | EthereumBackend, signer: Signer, network: Network
) -> Transfer:
    """The same transfer with ordinary addresses in their places, bound to the coins these follow from."""
    from bursar.backends.software import SoftwareSigner
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.script import p2tr
    from bursar.bitcoin.silent_payments import SilentPaymentAddress

    if not isinstance(signer, SoftwareSigner):
        raise UnsupportedError(
            "a silent payment's output follows from the secret keys of its inputs, which this signer keeps to itself: "
            "ask the payee for an ordinary address, or pay from a keystore in software",
            operation="silent_payment",
            model=signer.info.model,
        )
    places = [place for place, order in enumerate(transfer.payments) if is_silent(order.to)]
    # as long as the real outputs will be; nothing of this plan is kept, signed or sent
    stand_ins = {place: str(Address.from_script(p2tr(_stand_in(place)), network)) for place in places}
    sketch = wallet.plan(_with(transfer, stand_ins), backend, dry_run=True)
    assert sketch.psbt is not None
    psbt = Psbt.from_text(sketch.psbt)
    recipients: list[SilentPaymentAddress] = [
        SilentPaymentAddress.from_text(transfer.payments[place].to, network) for place in places
    ]
    scripts = signer.silent_payment_scripts(psbt, recipients)
    real = {place: str(Address.from_script(script, network)) for place, script in zip(places, scripts, strict=True)}
    return replace(
        _with(transfer, real),
        coins=tuple(str(spent.outpoint) for spent in psbt.tx.inputs),
        coins_only=True,
        strategy="default",
        memo=_memo([transfer.payments[place].to for place in places], transfer.memo),
    )


def check_inputs(plan: Plan, transfer: Transfer) -> None:
    """Raise unless ``plan`` spends exactly the coins that the outputs of the silent payment follow from."""
    from bursar.bitcoin.psbt import Psbt

    assert plan.psbt is not None
    spent = {str(one.outpoint) for one in Psbt.from_text(plan.psbt).tx.inputs}
    if spent != set(transfer.coins):
        raise UnsupportedError(
            "this would spend other coins than the silent payment was made from, and its payee would never find it: "
            "lift it with 'bursar cpfp', or cancel it",
            operation="silent_payment",
        )


def silent_transfer(wallet: Wallet, record: TransferRecord) -> Transfer | None:
    """The silent payment that a transfer is, or replaces and pays anew; ``None`` for others."""
    seen: TransferRecord | None = record
    while seen is not None:
        if seen.transfer.memo is not None and seen.transfer.memo.startswith(_MARK) and seen.transfer.coins_only:
            return seen.transfer
        seen = None if seen.replaces is None else wallet.transfer(seen.replaces)
    return None


def _memo(payees: Sequence[str], given: str | None) -> str:
    """Whom it pays, before what was said: ``silent_transfer`` looks for the mark."""
    for said in (", ".join(payees), f"{len(payees)} addresses"):
        text = f"{_MARK}{said}; {given}" if given else f"{_MARK}{said}"
        if len(text) <= MAX_TEXT:
            return text
    raise InvalidInputError("--memo is too long for a silent payment, which is noted there: shorten it")


def _with(transfer: Transfer, addresses: dict[int, str]) -> Transfer:
    payments = tuple(replace(order, to=addresses.get(place, order.to)) for place, order in enumerate(transfer.payments))
    return replace(transfer, payments=payments)


def _stand_in(place: int) -> bytes:
    from bursar.crypto.hashes import sha256
    from bursar.crypto.secp256k1 import public_key

    return public_key(sha256(b"stand-in %d" % place))[1:]
