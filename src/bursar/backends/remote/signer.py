"""One account of a remote signer: transactions, personal messages (EIP-191) and typed data (EIP-712)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.backends.remote.answers import accepted_signature, accepted_transaction
from bursar.errors import InvalidInputError, SignerUnavailableError, UnsupportedError
from bursar.ethereum.message import personal_digest
from bursar.signing.protocols import DeviceEvent

if TYPE_CHECKING:
    from bursar.backends.remote.dialects import Dialect
    from bursar.backends.remote.places import RemotePlace
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.address import Address
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.path import DerivationPath
    from bursar.signing.protocols import Prompt, SignerInfo


class RemoteSigner:
    """Fulfils ``EthereumSigner``, ``PersonalMessageSigner`` and ``TypedDataSigner``; made by ``RemoteBackend.open``.

    It has one key, at the path its file gives it, and no extended public key. Every answer is compared with the
    question field by field, and who signed is recovered, before it leaves here.
    """

    def __init__(self, info: SignerInfo, place: RemotePlace, dialect: Dialect, prompt: Prompt) -> None:
        self._info = info
        self._place = place
        self._dialect = dialect
        self._prompt = prompt
        self._seconds = place.timeout or dialect.seconds
        self._closed = False

    @property
    def info(self) -> SignerInfo:
        """The remote signer as its file names it."""
        return self._info

    @property
    def address(self) -> Address:
        """The account it signs for."""
        return self._place.address

    @property
    def path(self) -> DerivationPath:
        """The path under which that account is known here."""
        return self._place.path

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:  # noqa: ARG002
        """``UnsupportedError``: there is one key, and nothing is derived from it."""
        raise UnsupportedError(
            f"the remote signer {self._info.label} has one account, {self.address}, and no extended public key",
            operation="xpub",
            model=self._info.model,
        )

    def sign_transaction(self, path: DerivationPath, tx: UnsignedTransaction) -> EcdsaSignature:
        """The signature of ``tx``. What the server would leave out is ``UnsupportedError`` before it is asked."""
        self._begin(path, "the transaction")
        answer = self._dialect.sign_transaction(self.address, tx, seconds=self._seconds)
        return accepted_transaction(answer, tx, self.address, name=self._place.name)

    def sign_personal_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        """The signature of a personal message."""
        self._begin(path, "the message")
        answer = self._dialect.sign_personal_message(self.address, message, seconds=self._seconds)
        return accepted_signature(answer, personal_digest(message), self.address, name=self._place.name)

    def sign_typed_data(self, path: DerivationPath, typed: TypedData) -> EcdsaSignature:
        """The signature of typed data."""
        self._begin(path, "the typed data")
        answer = self._dialect.sign_typed_data(self.address, typed, seconds=self._seconds)
        return accepted_signature(answer, typed.digest(), self.address, name=self._place.name)

    def close(self) -> None:
        """There is nothing to hang up: each question has its own connection."""
        self._closed = True

    def _begin(self, path: DerivationPath, what: str) -> None:
        if self._closed:
            raise SignerUnavailableError("this signer is closed: open it again")
        if path != self._place.path:
            raise InvalidInputError(
                f"the remote signer {self._info.label} has one key, at {self._place.path}, and none at {path}",
                code="input.path",
            )
        if self._dialect.asks_human:
            self._prompt.notify(DeviceEvent("confirm", f"Confirm {what} at {self._info.model}, {self._place.name}."))
