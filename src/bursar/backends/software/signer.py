"""SoftwareSigner: signs PSBTs (BIP-174, BIP-371), Ethereum transactions and messages with keys in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Self

from bursar.backends.software import keystore
from bursar.backends.software.branch import KeyTree, path_bytes
from bursar.backends.software.checked import checked_signature
from bursar.backends.software.private_file import FileLock
from bursar.backends.software.psbt_inputs import InputSigner
from bursar.bitcoin.message import message_digest
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError, SignerUnavailableError
from bursar.ethereum.message import personal_digest, validator_digest
from bursar.ethereum.validity import check_transaction
from bursar.keys.path import HARDENED
from bursar.keys.scheme import CoinType
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from bursar.backends.software.musig2 import MusigRounds
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.silent_payments import SilentPaymentAddress, SilentPaymentKeys
    from bursar.crypto.secret import Secret
    from bursar.ethereum.address import Address
    from bursar.ethereum.authorization import Authorization
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
    from bursar.keys.mnemonic import Mnemonic
    from bursar.keys.path import DerivationPath

NAME = "software"
MODEL = "software keystore"


class SoftwareSigner:
    """Holds a master key in memory until ``close()``, which wipes it (best effort).

    ``verify_after_sign`` checks every signature before it leaves, so that a fault in the machine gives an error and
    not a key; it costs about as much as signing twice. ``low_r`` grinds ECDSA signatures for a low R, as Bitcoin Core
    does: one byte less in half of them, for twice the time. Not to be used by two threads at once.
    """

    def __init__(
        self,
        root: ExtendedPrivateKey,
        *,
        info: SignerInfo | None = None,
        verify_after_sign: bool = True,
        low_r: bool = True,
        lock: FileLock | None = None,
    ) -> None:
        """Takes ownership of ``root`` and of ``lock``: both end with ``close()``."""
        fingerprint = root.fingerprint
        self._info = info or SignerInfo(NAME, "memory", MODEL, fingerprint=fingerprint)
        self._keys = KeyTree(root)
        self._inputs = InputSigner(self._keys, bytes(fingerprint), verify=verify_after_sign, low_r=low_r)
        self._musig: MusigRounds | None = None
        self._verify = verify_after_sign
        self._lock = lock

    @classmethod
    def from_mnemonic(
        cls,
        mnemonic: Mnemonic,
        passphrase: Secret | None = None,
        *,
        verify_after_sign: bool = True,
        low_r: bool = True,
    ) -> Self:
        """A signer of BIP-39 words and their optional passphrase, without a file."""
        from bursar.keys.bip32 import ExtendedPrivateKey

        with mnemonic.to_seed(passphrase) as seed:
            return cls(ExtendedPrivateKey.from_seed(seed), verify_after_sign=verify_after_sign, low_r=low_r)

    @classmethod
    def open(cls, path: Path, password: Secret, *, verify_after_sign: bool = True, low_r: bool = True) -> Self:
        """A signer over a keystore file, locked against other processes until ``close()``.

        Raises ``WrongPasswordError``, ``CorruptKeystoreError``, ``KeystoreBusyError`` or another ``KeystoreError``.
        """
        lock = FileLock(path)
        lock.acquire()
        try:
            unlocked = keystore.unlock(path, password)
            root = unlocked.root()
            unlocked.wipe()
        except BaseException:
            lock.release()
            raise
        info = SignerInfo(NAME, str(path), MODEL, label=path.stem, fingerprint=root.fingerprint)
        return cls(root, info=info, verify_after_sign=verify_after_sign, low_r=low_r, lock=lock)

    @property
    def info(self) -> SignerInfo:
        return self._info

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """The extended public key at ``path``: a tpub below SLIP-44's coin type 1, an xpub everywhere else."""
        from dataclasses import replace

        indexes = path.indexes
        public = self._root().derive(indexes)
        testnet = len(indexes) > 1 and indexes[1] == HARDENED + CoinType.TESTNET
        with public:
            return replace(public.public(), testnet=testnet)

    def sign_psbt(self, psbt: Psbt) -> Psbt:
        """A copy of ``psbt`` with our signatures added and nothing else; see ``InputSigner.sign`` for refusals."""
        self._root()
        return self._inputs.sign(psbt)

    def musig2_nonces(self, psbt: Psbt) -> Psbt:
        """First round of MuSig2: a copy with public nonces, whose secret halves stay here until they are used."""
        self._root()
        return self._rounds().nonces(psbt)

    def musig2_sign(self, psbt: Psbt) -> Psbt:
        """Second round: a copy with partial signatures. A nonce signs once; ``input.psbt.nonce`` for one not ours."""
        self._root()
        return self._rounds().sign(psbt)

    def silent_payment_keys(self, network: Network, account: int = 0) -> SilentPaymentKeys:
        """What finds silent payments and cannot spend them (BIP-352): the scan key is secret, wipe it after use."""
        from bursar.bitcoin.silent_payments import SilentPaymentKeys

        return SilentPaymentKeys.derive(self._root(), network, account)

    def silent_payment_scripts(self, psbt: Psbt, recipients: Sequence[SilentPaymentAddress]) -> tuple[bytes, ...]:
        """The output script of each recipient if exactly the inputs of ``psbt``, all of them ours, are spent (BIP-352).

        Sign no other transaction that pays these scripts: its payees would never find their money.
        """
        from bursar.backends.software.silent import payment_scripts

        self._root()
        return payment_scripts(self._keys, bytes(self._inputs.fingerprint), psbt, recipients)

    def sign_silent_payments(self, psbt: Psbt) -> Psbt:
        """A copy of ``psbt``, which spends silent payments to our spend keys and nothing else, signed (BIP-376)."""
        from bursar.backends.software.silent import sign_spends

        self._root()
        return sign_spends(self._keys, bytes(self._inputs.fingerprint), psbt)

    def _rounds(self) -> MusigRounds:
        if self._musig is None:
            from bursar.backends.software.musig2 import MusigRounds

            self._musig = MusigRounds(self._keys, bytes(self._inputs.fingerprint))
        return self._musig

    def sign_transaction(self, path: DerivationPath, tx: UnsignedTransaction) -> EcdsaSignature:
        """The signature of an Ethereum transaction (types 0 to 4) that a block can take; not with Bitcoin's keys."""
        _check_no_bitcoin_key(path, "an ethereum transaction")
        check_transaction(tx, any_chain=True, most_gas=None)  # what others authorized is not this key's to judge
        return self._sign(path, tx.digest())

    def sign_authorization(self, path: DerivationPath, authorization: Authorization) -> EcdsaSignature:
        """The signature of an authorization (EIP-7702); Bitcoin's own paths are refused."""
        _check_no_bitcoin_key(path, "an authorization")
        return self._sign(path, authorization.digest())

    def sign_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        """The signature of a Bitcoin message in the legacy form."""
        return self._sign(path, message_digest(message))

    def sign_personal_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        """The signature of an Ethereum personal message (EIP-191 version 0x45)."""
        return self._sign(path, personal_digest(message))

    def sign_validator_message(self, path: DerivationPath, validator: Address, data: bytes) -> EcdsaSignature:
        """The signature of data for one contract (EIP-191 version 0x00)."""
        return self._sign(path, validator_digest(validator, data))

    def sign_typed_data(self, path: DerivationPath, typed: TypedData) -> EcdsaSignature:
        """The signature of Ethereum typed data (EIP-712); Bitcoin's own paths are refused."""
        _check_no_bitcoin_key(path, "typed data")
        return self._sign(path, typed.digest())

    def unsafe_sign_digest(self, path: DerivationPath, digest: bytes) -> EcdsaSignature:
        """Sign 32 bytes that nobody can read. Unsafe: whoever chooses them may have chosen a payment."""
        return self._sign(path, digest)

    def close(self) -> None:
        """Wipe the keys and free the keystore; idempotent."""
        self._keys.wipe()
        if self._musig is not None:
            self._musig.wipe()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SoftwareSigner({self._info.fingerprint})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer cannot be copied or pickled")

    def _root(self) -> ExtendedPrivateKey:
        root = self._keys.root
        if root is None:
            raise SignerUnavailableError(f"the signer {self._info.fingerprint} is closed: open it again")
        return root

    def _sign(self, path: DerivationPath, digest: bytes) -> EcdsaSignature:
        self._root()
        secret = self._keys.secret(path_bytes(path))
        if not self._verify:
            return ecdsa_sign_recoverable(secret, digest)
        return checked_signature(secret, public_key(secret), digest)


def _check_no_bitcoin_key(path: DerivationPath, what: str) -> None:
    indexes = path.indexes
    if len(indexes) > 1 and indexes[1] == HARDENED + CoinType.BITCOIN and indexes[0] >= HARDENED:
        raise InvalidInputError(f"{path} is a path of bitcoin keys: {what} is not signed there", code="input.path")
