"""What signers of Ethereum transactions (EIP-155, 2930, 1559) and of messages must do, and what a display must show."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bursar.bitcoin.message import encode_signature, verify_message
from bursar.errors import BursarError, SignerError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.message import encode_signature as encode_personal
from bursar.ethereum.message import verify_message as verify_personal
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import (
    confirm_address,
    request_message,
    request_personal_message,
    request_transaction,
)
from bursar.signing.conformance.case import Case, NonconformanceError, Profile, demand, refused
from bursar.signing.conformance.questions import account_of, fingerprint_of
from bursar.signing.protocols import AddressDisplay, EthereumSigner, MessageSigner, PersonalMessageSigner, Signer

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATH = DerivationPath.from_text("m/44h/60h/0h")
_SOMEBODY = Address(bytes(range(20)))
_MESSAGES = (b"", b"hello", "grüezi ☃ 你好".encode(), b"x" * 252, b"x" * 253, b"x" * 1000, b"line\r\nline\n", b"\0\xff")


def ethereum_account(signer: Signer, profile: Profile) -> EthereumAccount:
    """The signer's first Ethereum account."""
    return EthereumAccount(profile.chain_id, KeyOrigin(fingerprint_of(signer), _PATH), signer.xpub(_PATH))


def every_transaction_type_signs(signer: EthereumSigner, profile: Profile) -> None:
    """Types 0, 1 and 2, with and without value, data and access list; the raw bytes parse back to the same."""
    account = ethereum_account(signer, profile)
    for nonce, tx in enumerate(_transactions(profile.chain_id)):
        index = nonce % 3
        if tx.type not in profile.transaction_types:
            path = account.path(index)
            refused(partial(signer.sign_transaction, path, tx), f"a transaction of type {tx.type}")
            continue
        signed = request_transaction(signer, account.path(index), tx, sender=account.address(index))
        again = SignedTransaction.parse(signed.serialize())
        demand(again.unsigned == tx, "the signed transaction is another one")
        demand(again.sender == account.address(index), "the signed transaction has another sender")


def chains_are_kept_apart(signer: EthereumSigner, profile: Profile) -> None:
    """The chain id is signed, be it 1 or as large as legacy transactions can carry."""
    account = ethereum_account(signer, profile)
    for chain_id in (1, 109, 110, 0xFFFF, 2**31, 2**53 - 1):
        for kind in {0, 2}.intersection(profile.transaction_types):
            tx = _transaction(kind, chain_id, nonce=3)
            signed = request_transaction(signer, account.path(0), tx, sender=account.address(0))
            demand(signed.unsigned.chain_id == chain_id, "the chain id is another one")


def messages_sign(signer: MessageSigner, profile: Profile) -> None:
    """Legacy Bitcoin messages of every length class, under keys of every scheme that BIP-137 has a header for."""
    for scheme in (Scheme.BIP44, Scheme.BIP49, Scheme.BIP84):
        if scheme not in profile.schemes:
            continue
        account = account_of(signer, profile, scheme)
        for index, message in enumerate(_MESSAGES):
            key = account.key(0, index)
            signature = request_message(signer, account.path(0, index), message, public_key=key)
            verify_message(account.address(0, index), message, encode_signature(signature, account.script_type))


def personal_messages_sign(signer: PersonalMessageSigner, profile: Profile) -> None:
    """Ethereum personal messages of every length class."""
    account = ethereum_account(signer, profile)
    for index, message in enumerate(_MESSAGES):
        sender = account.address(index)
        signature = request_personal_message(signer, account.path(index), message, sender=sender)
        verify_personal(sender, message, encode_personal(signature))


def addresses_are_shown(signer: AddressDisplay, profile: Profile) -> None:
    """What the display shows is what the account derives, on both branches, on both chains if it has them."""
    for scheme in profile.schemes:
        account = account_of(signer, profile, scheme)
        for branch, index in ((0, 0), (0, 11), (1, 2)):
            confirm_address(signer, account, index, branch=branch)
    if isinstance(signer, EthereumSigner):
        confirm_address(signer, ethereum_account(signer, profile), 4)


def closing_is_final(signer: Signer, _profile: Profile) -> None:
    """``close()`` may be called twice; afterwards nothing is answered, and the error is a ``SignerError``."""
    signer.close()
    signer.close()
    try:
        signer.xpub(_PATH)
    except SignerError:
        return
    except BursarError as error:
        raise NonconformanceError(f"a closed signer raises {type(error).__name__}, not a SignerError") from error
    raise NonconformanceError("a closed signer still answers")


def _transactions(chain_id: int) -> Iterator[UnsignedTransaction]:
    for kind in (0, 1, 2):
        yield _transaction(kind, chain_id, nonce=0)
        yield _transaction(kind, chain_id, nonce=2**32, value=Wei(0), data=bytes(range(256)) * 5)
        yield _transaction(kind, chain_id, nonce=127, value=Wei(10**27), data=b"\x00")
        yield _transaction(kind, chain_id, nonce=128, to=None, data=b"\x60\x00")
    for kind in (1, 2):
        entry = AccessListEntry(_SOMEBODY, (bytes(32), bytes(range(32))))
        yield _transaction(kind, chain_id, nonce=9, access_list=(entry, entry))


def _transaction(
    kind: int,
    chain_id: int,
    *,
    nonce: int,
    value: Wei = Wei(10**15),  # noqa: B008
    to: Address | None = _SOMEBODY,
    data: bytes = b"",
    access_list: tuple[AccessListEntry, ...] = (),
) -> UnsignedTransaction:
    price: dict[str, Any] = {"gas_price": Wei(2 * 10**9)}
    if kind == 2:
        price = {"max_fee_per_gas": Wei(3 * 10**9), "max_priority_fee_per_gas": Wei(10**9)}
    return UnsignedTransaction(
        type=kind,
        chain_id=chain_id,
        nonce=nonce,
        to=to,
        value=value,
        data=data,
        gas_limit=100_000,
        access_list=access_list,
        **price,
    )


CASES = (
    Case("every-transaction-type-signs", EthereumSigner, every_transaction_type_signs),
    Case("chains-are-kept-apart", EthereumSigner, chains_are_kept_apart),
    Case("messages-sign", MessageSigner, messages_sign),
    Case("personal-messages-sign", PersonalMessageSigner, personal_messages_sign),
    Case("addresses-are-shown", AddressDisplay, addresses_are_shown),
    Case("closing-is-final", Signer, closing_is_final),
)
