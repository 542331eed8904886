"""The only callers of signers: each holds the answer to the question (BIP-174, EIP-155, EIP-191, EIP-712)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.message import message_digest
from bursar.bitcoin.psbt import note_signature
from bursar.bitcoin.sighash import DEFAULT
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_recover
from bursar.errors import InvalidInputError, InvalidSignatureError, SignerMisbehavedError, UnsupportedError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address as EthereumAddress
from bursar.ethereum.fees import MAX_TRANSACTION_GAS
from bursar.ethereum.message import personal_digest
from bursar.ethereum.validity import check_transaction
from bursar.keys.origin import UNKNOWN
from bursar.signing.change import change_outputs
from bursar.signing.preflight import DEFAULT_LIMITS, PreflightLimits, check_psbt
from bursar.signing.protocols import ContextSigner, SigningContext
from bursar.signing.replacements import check_replacement
from bursar.signing.reply import accepted_signatures
from bursar.signing.shown import pays_to
from bursar.signing.spending import check_inputs

if TYPE_CHECKING:
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.address import Address as BitcoinAddress
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.psbt import InputDigest, Psbt
    from bursar.bitcoin.transaction import Txid
    from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.origin import Fingerprint
    from bursar.keys.path import DerivationPath
    from bursar.signing.amounts import SeenAmounts
    from bursar.signing.protocols import (
        AddressDisplay,
        EthereumSigner,
        MessageSigner,
        PersonalMessageSigner,
        PsbtSigner,
        ScriptAddressDisplay,
        Signer,
        TypedDataSigner,
    )


def request_signatures(
    signer: PsbtSigner,
    psbt: Psbt,
    *,
    account: ScriptAccount | None = None,
    approved: Txid | None = None,
    limits: PreflightLimits = DEFAULT_LIMITS,
    seen: SeenAmounts | None = None,
    network: Network | None = None,
    original: Psbt | None = None,
) -> Psbt:
    """Ask ``signer`` to sign, and give back ``psbt`` with its verified signatures and nothing else from the signer.

    Before it is asked: ``check_psbt``; with ``account``, ``check_inputs`` and ``change_outputs`` too, so that nothing
    of another account is spent and no output falsely claims to be change; with ``approved``, the transaction must be
    the one that was approved (its txid without signatures); with ``seen``, no coin may be said to hold another amount
    than in an earlier request.
    After: the answer is the same transaction with the same fields, at least one signature was added, and every
    signature added verifies under a key of its script, with the hash type asked for and in its strict form.

    A signer with a screen may show addresses of ``network`` (the account's) and, where the transaction replaces the
    signed ``original``, what changes (``replacements.check_replacement``).

    Raises ``InvalidInputError`` for the question, ``SignerMisbehavedError`` for the answer, and whatever
    ``SignerError`` the signer itself raises. ``psbt`` is not changed.
    """
    fingerprint = signer.info.fingerprint
    asked = check_question(psbt, fingerprint, account=account, approved=approved, limits=limits, seen=seen)
    question = psbt.copy()
    if original is not None:
        check_replacement(psbt, original)
    if isinstance(signer, ContextSigner):
        network = network if account is None else account.network
        context = SigningContext(network, limits.external_inputs, original)
        answer = signer.sign_psbt_in(psbt.copy(), context)
    else:
        answer = signer.sign_psbt(psbt.copy())
    added = accepted_signatures(question, answer, asked, fingerprint=fingerprint, name=name_of(signer))
    for index, key, value in added:
        question.inputs[index].fields[key] = value
        note_signature(question, DEFAULT)  # ALL or taproot's DEFAULT is all that is ever accepted
    return question


def check_question(
    psbt: Psbt,
    fingerprint: Fingerprint | None,
    *,
    account: ScriptAccount | None = None,
    approved: Txid | None = None,
    limits: PreflightLimits = DEFAULT_LIMITS,
    seen: SeenAmounts | None = None,
) -> tuple[InputDigest | None, ...]:
    """Everything ``request_signatures`` checks before a signer is asked; what is to be signed, as ``check_psbt``."""
    if approved is not None and psbt.tx.txid != approved:
        raise InvalidInputError(
            f"the transaction is {psbt.tx.txid}, the one approved was {approved}: approve it again",
            code="input.psbt.changed",
        )
    asked = check_psbt(psbt, fingerprint=fingerprint, limits=limits)
    if seen is not None:
        seen.check(psbt)
    if account is not None:
        check_inputs(psbt, account, fingerprint=fingerprint, external=limits.external_inputs)
        change_outputs(psbt, account)
    return asked


def request_transaction(
    signer: EthereumSigner,
    path: DerivationPath,
    tx: UnsignedTransaction,
    *,
    sender: EthereumAddress,
    any_chain: bool = False,
    most_gas: int | None = MAX_TRANSACTION_GAS,
) -> SignedTransaction:
    """Ask ``signer`` to sign ``tx`` with the key at ``path``; the signature must recover to ``sender`` over ``tx``.

    Before it is asked: ``check_transaction``, so that nothing is signed that no block could take, and no authorization
    (EIP-7702) that counts on every chain unless ``any_chain`` accepts it; ``most_gas`` is the chain's limit for one
    transaction. After: a signature of anything else (another amount, recipient, chain or key) recovers to another
    address and raises ``SignerMisbehavedError``.
    """
    check_transaction(tx, sender=sender, any_chain=any_chain, most_gas=most_gas)
    signature = held_signature(signer, signer.sign_transaction(path, tx))
    if recovered_address(signer, tx.digest(), signature) != sender:
        raise misbehaved(signer, f"its signature is not one of this transaction by {sender}")
    return tx.sign_with(signature)


def request_message(
    signer: MessageSigner, path: DerivationPath, message: bytes, *, public_key: bytes
) -> EcdsaSignature:
    """Ask for a legacy Bitcoin message signature; it must recover to ``public_key`` (33 bytes, compressed)."""
    signature = held_signature(signer, signer.sign_message(path, message))
    if _recovered_key(signer, message_digest(message), signature) != public_key:
        raise misbehaved(signer, f"its signature is not one of this message by the key {public_key.hex()}")
    return signature


def request_personal_message(
    signer: PersonalMessageSigner, path: DerivationPath, message: bytes, *, sender: EthereumAddress
) -> EcdsaSignature:
    """Ask for an EIP-191 signature of a personal message; it must recover to ``sender``."""
    signature = held_signature(signer, signer.sign_personal_message(path, message))
    if recovered_address(signer, personal_digest(message), signature) != sender:
        raise misbehaved(signer, f"its signature is not one of this message by {sender}")
    return signature


def request_typed_data(
    signer: TypedDataSigner,
    path: DerivationPath,
    typed: TypedData,
    *,
    sender: EthereumAddress,
    chain_id: int,
    any_chain: bool = False,
) -> EcdsaSignature:
    """Ask for a signature of typed data (EIP-712); it must recover to ``sender``.

    The domain must be of ``chain_id``; one that names no chain, whose signature counts on all of them, needs
    ``any_chain``. ``InvalidInputError`` (``input.typed-data.chain``) before the signer is asked.
    """
    typed.check_chain(chain_id, absent=any_chain)
    signature = held_signature(signer, signer.sign_typed_data(path, typed))
    if recovered_address(signer, typed.digest(), signature) != sender:
        raise misbehaved(signer, f"its signature is not one of this typed data by {sender}")
    return signature


def confirm_address(
    signer: AddressDisplay | ScriptAddressDisplay,
    account: ScriptAccount | EthereumAccount,
    index: int,
    *,
    branch: int = 0,
) -> BitcoinAddress | EthereumAddress:
    """Have ``signer`` show an address of ``account`` on its own screen; what it showed must be what we derive.

    Bitcoin addresses are compared by script, for a test device may print another test network's prefix. Accounts of
    several keys need a ``ScriptAddressDisplay``, else ``UnsupportedError``.
    """
    if signer.info.fingerprint is not None:
        check_keys_of(signer, account)
    shown = _displayed(signer, account, branch, index)
    if not isinstance(shown, str):
        raise misbehaved(signer, f"it showed {type(shown).__name__}, which is no address")
    if isinstance(account, EthereumAccount):
        address = account.address(index)
        if shown.lower() != str(address).lower():
            raise misbehaved(signer, f"it showed {shown[:100]!r} where {address} was derived")
        return address
    expected = account.address(branch, index)
    if not pays_to(shown, expected.script, testnet=expected.network.testnet):
        raise misbehaved(signer, f"it showed {shown[:100]!r} where {expected} was derived")
    return expected


def _displayed(
    signer: AddressDisplay | ScriptAddressDisplay, account: ScriptAccount | EthereumAccount, branch: int, index: int
) -> object:
    show = getattr(signer, "display_script_address", None)
    if isinstance(account, (BitcoinAccount, EthereumAccount)):
        show = getattr(signer, "display_address", None)
    if show is not None:
        return show(account, branch, index)
    raise UnsupportedError(
        f"{name_of(signer)} shows no addresses of this kind of account: compare it on another of the account's signers",
        operation="display_address",
        model=signer.info.model,
    )


def check_keys_of(signer: Signer, account: ScriptAccount | EthereumAccount) -> None:
    """Refuse a signer whose keys are others than the account's, before a human is asked to approve on it.

    By the master key's fingerprint; where that is not known on either side, by the account's own public key, if it has
    one. ``InvalidInputError`` (``input.signer.other``).
    """
    held = signer.info.fingerprint or UNKNOWN
    if isinstance(account, (BitcoinAccount, EthereumAccount)):
        wanted: tuple[Fingerprint, ...] = (account.origin.fingerprint,)
        unknown = UNKNOWN in (held, *wanted)
        same = signer.xpub(account.origin.path).key == account.xpub.key if unknown else held in wanted
    else:
        wanted, unknown = account.fingerprints, held == UNKNOWN
        same = not unknown and held in wanted
    if not same:
        names = f"the keys of {held}, the account is of {' and '.join(map(str, wanted))}"
        raise InvalidInputError(
            f"{name_of(signer)} has {'other keys' if unknown else names}: choose another signer, or another passphrase",
            code="input.signer.other",
        )


def name_of(signer: Signer) -> str:
    """How messages name a signer: "software:main"."""
    return f"{signer.info.backend}:{signer.info.label or signer.info.location}"


def held_signature(signer: Signer, signature: object) -> EcdsaSignature:
    """``signature`` when it is one, with a low S and its parity; ``SignerMisbehavedError`` otherwise."""
    if not isinstance(signature, EcdsaSignature):
        raise misbehaved(signer, f"it answered with {type(signature).__name__}, which is no signature")
    if not signature.low_s:
        raise misbehaved(signer, "its signature has a high s, a malleable form")
    if signature.y_parity is None:
        raise misbehaved(signer, "its signature carries no parity, so nobody can recover who signed")
    return signature


def recovered_address(signer: Signer, digest: bytes, signature: EcdsaSignature) -> EthereumAddress:
    """The account whose key made ``signature``; ``SignerMisbehavedError`` when no key did."""
    return EthereumAddress.from_public_key(_recovered_key(signer, digest, signature))


def _recovered_key(signer: Signer, digest: bytes, signature: EcdsaSignature) -> bytes:
    try:
        return ecdsa_recover(digest, signature)
    except InvalidSignatureError as error:
        raise misbehaved(signer, "its signature belongs to no key") from error


def misbehaved(signer: Signer, reason: str) -> SignerMisbehavedError:
    """The error for an answer that does not belong to the question."""
    return SignerMisbehavedError(f"{name_of(signer)} misbehaved: {reason}; do not trust it until you know why")
