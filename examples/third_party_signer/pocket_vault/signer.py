"""PocketSigner: Bursar's signer contract on one side, the vault's questions on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.psbt import Psbt
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.signing.protocols import DeviceEvent, Prompt, SignerInfo

if TYPE_CHECKING:
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.path import DerivationPath
    from pocket_vault.link import Link


class PocketSigner:
    """Every capability is a method; what a device cannot do, its signer simply does not have."""

    def __init__(self, link: Link, info: SignerInfo, prompt: Prompt) -> None:
        self._link = link
        self._info = info
        self._prompt = prompt

    @property
    def info(self) -> SignerInfo:
        return self._info

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        answer = self._link.ask("xpub", path=str(path))
        try:
            return ExtendedPublicKey.from_text(str(answer.get("xpub")))
        except InvalidInputError as error:
            raise SignerMisbehavedError(f"the vault's key at {path} is not understood: {error.message}") from error

    def sign_psbt(self, psbt: Psbt) -> Psbt:
        self._confirm("the transaction")
        answer = self._link.ask("sign-psbt", psbt=str(psbt))
        try:
            return Psbt.from_text(str(answer.get("psbt")))
        except InvalidInputError as error:
            raise SignerMisbehavedError(f"the vault's psbt is not understood: {error.message}") from error

    def sign_transaction(self, path: DerivationPath, tx: UnsignedTransaction) -> EcdsaSignature:
        self._confirm("the transaction")
        return _signature(self._link.ask("sign-transaction", path=str(path), tx=tx.signing_bytes().hex()))

    def sign_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        self._confirm("the message")
        return _signature(self._link.ask("sign-message", path=str(path), message=message.hex()))

    def sign_personal_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        self._confirm("the message")
        return _signature(self._link.ask("sign-personal-message", path=str(path), message=message.hex()))

    def sign_typed_data(self, path: DerivationPath, typed: TypedData) -> EcdsaSignature:
        self._confirm("the typed data")
        return _signature(self._link.ask("sign-typed-data", path=str(path), typed=typed.to_json()))

    def display_address(self, account: BitcoinAccount | EthereumAccount, branch: int, index: int) -> str:
        self._confirm("the address")
        if isinstance(account, BitcoinAccount):
            path = account.path(branch, index)
            return str(self._link.ask("show-address", path=str(path), network=account.network.name).get("shown"))
        return str(self._link.ask("show-address", path=str(account.path(index)), network="ethereum").get("shown"))

    def close(self) -> None:
        self._link.close()

    def _confirm(self, what: str) -> None:
        self._prompt.notify(DeviceEvent("confirm", f"Check {what} on the Pocket Vault and confirm it there."))


def _signature(answer: dict[str, Any]) -> EcdsaSignature:
    """r, s and the parity; only their form is checked here, ``bursar.signing.checks`` does the rest for everybody."""
    try:
        return EcdsaSignature.from_compact(bytes.fromhex(str(answer["rs"])), y_parity=int(answer["parity"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SignerMisbehavedError("the vault's signature is not understood") from error
