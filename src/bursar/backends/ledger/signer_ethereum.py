"""LedgerEthereumSigner: the signer contract on one side, the Ethereum app on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Self

from bursar.backends.ledger import advice, ethereum, ethereum_authorization, ethereum_typed_data
from bursar.backends.ledger.ethereum_key import ethereum_key, extended_key
from bursar.backends.ledger.typed_data_filters import NOWHERE, orders, schema_hash
from bursar.backends.ledger.vendor_keys import PRODUCTION, VendorKeys
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.ethereum.account import EthereumAccount
from bursar.signing.protocols import DeviceEvent

if TYPE_CHECKING:
    from types import TracebackType

    from bursar.backends.ledger.dashboard import AppInfo
    from bursar.backends.ledger.ethereum_token import TokenSource
    from bursar.backends.ledger.link import Link
    from bursar.backends.ledger.typed_data_filters import FilterSource
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.authorization import Authorization
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.path import DerivationPath
    from bursar.signing.protocols import SignerInfo


class LedgerEthereumSigner:
    """Signs transactions of types 0 to 2, authorizations, messages and typed data; shows addresses, by the open app.

    ``info.fingerprint`` is ``None``: the app has keys below ``m/44h/60h`` and ``m/45h`` only and tells no fingerprint
    of the master key. What makes sure that it is the right device is its key at the account's path
    (``signer.xpub(account.origin.path) == account.xpub``), and the sender that every signature must recover to.
    Not for two threads at once.
    """

    def __init__(
        self,
        link: Link,
        info: SignerInfo,
        app: AppInfo,
        *,
        tokens: TokenSource | None = None,
        filters: FilterSource | None = None,
        keys: VendorKeys = PRODUCTION,
    ) -> None:
        """Takes ownership of ``link``. ``tokens`` finds the vendor's descriptors by which token calls are shown,
        ``filters`` those by which typed data is; they must be signed by ``keys``."""
        self._link = link
        self._info = info
        self._app = app
        self._tokens = tokens
        self._filters = filters
        self._keys = keys
        self._xpubs: dict[tuple[int, ...], ExtendedPublicKey] = {}

    @property
    def info(self) -> SignerInfo:
        return self._info

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """The extended public key at ``path``, below ``m/44h/60h`` or ``m/45h``."""
        self._link.check_usable()
        known = self._xpubs.get(path.indexes)
        if known is None:
            known = self._xpubs[path.indexes] = self._link.run(extended_key(path))
        return known

    def sign_transaction(self, path: DerivationPath, tx: UnsignedTransaction) -> EcdsaSignature:
        """The signature of a transaction of type 0, 1 or 2; calls the device cannot show need its blind signing.

        ``SignerError`` (``signer.firmware``) for types and calls that this version of the app does not do rightly.
        """
        self._link.check_usable()
        for feature in (*(("typed-transaction",) if tx.type else ()), *(("contract-call",) if tx.data else ())):
            self._check_feature(feature)
        token = None if tx.to is None or self._tokens is None or not tx.data else self._tokens(tx.chain_id, tx.to)
        return self._link.run(ethereum.sign_transaction(path, tx, token=token, keys=self._keys))

    def sign_personal_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        """The signature of a personal message (EIP-191 version 0x45)."""
        return self._link.run(ethereum.sign_personal_message(path, message))

    def sign_typed_data(self, path: DerivationPath, typed: TypedData) -> EcdsaSignature:
        """The signature of typed data (EIP-712), streamed field by field, or by its hashes where it is too large.

        Needs the vendor's filters for it or the app's blind signing, and a version that hashes rightly
        (``signer.firmware``).
        """
        self._link.check_usable()
        self._check_feature("typed-data")
        filters = None
        if self._filters is not None:
            schemas = tuple(schema_hash(typed.types, order) for order in orders(typed.types))
            filters = self._filters(typed.chain_id or 0, typed.verifying_contract or NOWHERE, schemas)
        return self._link.run(
            ethereum_typed_data.sign_typed_data(
                path, typed, model=self._info.model, filters=filters, tokens=self._tokens, keys=self._keys
            )
        )

    def sign_authorization(self, path: DerivationPath, authorization: Authorization) -> EcdsaSignature:
        """The signature of an authorization (EIP-7702), for delegates that Ledger allows; its setting must be on."""
        self._link.check_usable()
        self._check_feature("authorization")
        return self._link.run(ethereum_authorization.sign_authorization(path, authorization))

    def display_address(self, account: BitcoinAccount | EthereumAccount, branch: int, index: int) -> str:
        """Show an address, below the name of the account's chain, and return the one the device gave."""
        self._link.check_usable()
        if not isinstance(account, EthereumAccount) or branch:
            raise UnsupportedError(
                "the Ethereum app shows no bitcoin addresses: open the Bitcoin app, then open the signer again",
                operation="display_address",
                model=self._info.model,
            )
        if self.xpub(account.origin.path) != account.xpub:
            raise InvalidInputError(
                f"the account at {account.origin.path} is not one of this ledger: its key there is another one, "
                "choose the signer that has it",
                code="input.signer.other",
            )
        return str(self._link.run(ethereum_key(account.path(index), show=True, chain_id=account.chain_id)).address)

    def _check_feature(self, feature: str) -> None:
        for notice in advice.check_feature(self._app, feature):
            self._link.notify(DeviceEvent("notice", str(notice)))

    def close(self) -> None:
        """Let go of the device; idempotent."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LedgerEthereumSigner({self._info.location})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be copied or pickled")
