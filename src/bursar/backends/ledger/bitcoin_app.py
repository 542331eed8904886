"""The Bitcoin app through the vendor's client, over our own link: bounded, and with the app's own words kept."""

from __future__ import annotations

import base64
import binascii
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.ledger import vendor
from bursar.backends.ledger.apdu import OK, Reply
from bursar.backends.ledger.bitcoin_errors import ADDRESS, MESSAGE, REGISTER, SIGN, XPUB, bitcoin_refusal
from bursar.backends.ledger.handshake import BITCOIN
from bursar.bitcoin.network import Network
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.errors import BursarError, InvalidInputError, SignerMisbehavedError, SignerUnavailableError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.path import HARDENED
from bursar.keys.scheme import CoinType
from bursar.signing.protocols import DeviceEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.backends.ledger.dashboard import AppInfo
    from bursar.backends.ledger.link import Link
    from bursar.keys.path import DerivationPath

MOST_ACCOUNT: Final = 100
_INTERRUPTED: Final = 0xE000
_FEW_ROUNDS: Final = 2_000
_FAULTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class AppPolicy:
    """A wallet policy (BIP-388) as the app knows it: a default one has neither name nor proof of registration."""

    template: str
    keys: tuple[str, ...]
    name: str = ""
    hmac: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Yielded:
    """One signature as the app gave it: the input's number, the key it names, the signature with its hash type, and
    the hash of the leaf it is for, empty where it is for none."""

    index: int
    public_key: bytes
    signature: bytes
    leaf: bytes = b""


class BitcoinApp:
    """One open Bitcoin app. Every call is one request to the device, and a human's wait where it says so."""

    def __init__(self, link: Link, app: AppInfo) -> None:
        self._link = link
        self._library = vendor.bitcoin()
        self.app = app
        self.testnet = app.name != BITCOIN
        self.coin_type = CoinType.TESTNET if self.testnet else CoinType.BITCOIN
        self._wire = _Wire(link, self._library.apdu_exception)
        chain = self._library.test if self.testnet else self._library.main
        self._client = self._library.new_client(self._wire, chain)
        self._client._derive_address_for_policy = self._derived(self._client._derive_address_for_policy)
        self._faults: tuple[type[Exception], ...] = (*_FAULTS, *self._library.faults)

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """The extended public key at ``path``; one that no wallet standard names is shown on the device first."""
        confirm = None if is_usual_path(path, self.coin_type) else f"Confirm the public key at {path} on the Ledger."
        text = self._call(
            XPUB, self._client.get_extended_pubkey, vendor_path(path), confirm is not None, confirm=confirm
        )
        try:
            key = ExtendedPublicKey.from_text(text)
        except InvalidInputError as error:
            raise self._distrusted(f"its key at {path} is not understood: {error.message}") from error
        indexes = path.indexes
        if key.depth != len(indexes) or (indexes and key.index != indexes[-1]) or key.testnet != self.testnet:
            raise self._distrusted(f"it gave the key of another place than {path}")
        return key

    def show_address(self, policy: AppPolicy, branch: int, index: int, *, display: bool = True) -> str:
        """The address of a policy, shown on the device unless ``display`` is false."""
        confirm = "Compare the address on the Ledger, and confirm it there." if display else None
        answer = self._call(
            ADDRESS,
            self._client.get_wallet_address,
            self._policy(policy),
            policy.hmac,
            branch,
            index,
            display,
            confirm=confirm,
        )
        return str(answer)

    def register(self, policy: AppPolicy) -> tuple[bytes, bytes]:
        """Have a human accept a policy on the device; its id and the proof of registration (HMAC), 32 bytes each."""
        identity, proof = self._call(
            REGISTER,
            self._client.register_wallet,
            self._policy(policy),
            confirm=f"Check the account {policy.name!r} and all its keys on the Ledger, and confirm it there.",
        )
        return bytes(identity), bytes(proof)

    def sign_psbt(self, document: bytes, policy: AppPolicy, *, inputs: int, outputs: int) -> list[Yielded]:
        """Sign the inputs of ``policy``; ``document`` is a PSBT of version 2 with so many inputs and outputs."""
        legacy = policy.template.startswith(("pkh(", "sh(multi", "sh(sortedmulti"))
        places, keys = inputs + outputs, len(policy.keys)
        each = 400 + 80 * keys * keys  # it fetches every key for each script, and sorts without room for them all
        rounds = _FEW_ROUNDS + each * places + len(document) // 8 + (120 * places * inputs if legacy else 0)
        found = self._call(
            SIGN,
            self._client.sign_psbt,
            _ReadyPsbt(document, inputs, outputs),
            self._policy(policy),
            policy.hmac,
            confirm="Check every amount and address on the Ledger, and sign there.",
            rounds=rounds,
            seconds=(3.0 + 0.5 * keys * keys) * places + (0.2 * places * inputs if legacy else 0.0),
        )
        return [self._yielded(*one) for one in found]

    def sign_message(self, path: DerivationPath, message: bytes) -> bytes:
        """The 65 bytes of a legacy message signature: header, r, s."""
        text = self._call(
            MESSAGE,
            self._client.sign_message,
            message,
            vendor_path(path),
            confirm="Check the message on the Ledger, and sign it there.",
            rounds=_FEW_ROUNDS + len(message),
        )
        try:
            return base64.b64decode(str(text), validate=True)
        except binascii.Error as error:
            raise self._distrusted("its message signature is not understood") from error

    def misbehaved(self, reason: str) -> SignerMisbehavedError:
        """End the link because of an answer, and the error to raise."""
        return self._distrusted(reason)

    def _derived(self, by_vendor: Callable[..., Any]) -> Callable[..., Any]:
        """The vendor's client derives each address itself; the templates its library does not know, this one does."""

        def derive(policy: Any, change: bool, index: int) -> Any:
            found = by_vendor(policy, change, index)
            if found is not None:
                return found
            network = Network.TESTNET if self.testnet else Network.MAIN
            known = WalletPolicy.from_text(policy.name, policy.descriptor_template, policy.keys_info)
            return known.descriptor().addresses(network, int(change), index, 1)[0]

        return derive

    def _policy(self, policy: AppPolicy) -> Any:
        return self._library.wallet_policy(policy.name, policy.template, list(policy.keys))

    def _yielded(self, index: object, found: object) -> Yielded:
        if not isinstance(found, self._library.partial_signature) or not isinstance(index, int):
            raise self._distrusted(f"it yielded {type(found).__name__} where signatures were asked")
        leaf = getattr(found, "tapleaf_hash", None)
        key, signature = bytes(getattr(found, "pubkey")), bytes(getattr(found, "signature"))  # noqa: B009
        return Yielded(index, key, signature, b"" if leaf is None else bytes(leaf))

    def _call(
        self,
        doing: str,
        method: Callable[..., Any],
        *arguments: object,
        confirm: str | None = None,
        rounds: int = _FEW_ROUNDS,
        seconds: float = 0.0,
    ) -> Any:
        with self._link.turn():
            return self._called(doing, method, arguments, confirm, rounds, seconds)

    def _called(
        self,
        doing: str,
        method: Callable[..., Any],
        arguments: tuple[object, ...],
        confirm: str | None,
        rounds: int,
        seconds: float,
    ) -> Any:
        limits = self._link.limits
        self._link.check_usable()
        if confirm is not None:
            self._link.notify(DeviceEvent("confirm", confirm))
        wait = limits.device if confirm is None else limits.human
        self._wire.begin(time.monotonic() + wait + seconds, rounds)
        try:
            return method(*arguments)
        except BursarError:
            if self._wire.last is not None and self._wire.last.status == _INTERRUPTED:
                self._link.distrust("a question was broken off")
            raise
        except self._faults as error:
            raise self._translated(error, doing) from error
        except BaseException:
            self._link.distrust("a question was broken off")
            raise

    def _translated(self, error: Exception, doing: str) -> BursarError:
        """What the vendor's client raised, by what the device had answered last."""
        reply = self._wire.last
        if reply is None:
            return InvalidInputError(
                f"{doing} cannot be put to the ledger: {_plain(error)}", code="input.signer.refused"
            )
        if reply.status in (OK, _INTERRUPTED):
            return self._distrusted(f"its answer to {doing} does not fit: {_plain(error)}")
        return bitcoin_refusal(reply, doing, model=str(self.app))

    def _distrusted(self, reason: str) -> SignerMisbehavedError:
        self._link.distrust("it misbehaved")
        return SignerMisbehavedError(f"the ledger misbehaved: {reason}; do not trust it until you know why")


class _ReadyPsbt:
    """A PSBT of version 2 as far as the vendor's client looks at one, which spares it parsing and writing it anew."""

    version = 2

    def __init__(self, document: bytes, inputs: int, outputs: int) -> None:
        self._document = document
        self.inputs = range(inputs)
        self.outputs = range(outputs)

    def serialize(self) -> str:
        return base64.b64encode(self._document).decode("ascii")


class _Wire:
    """What the vendor's client takes for its transport: one request's worth of rounds, within one limit of time."""

    def __init__(self, link: Link, refused: type[Exception]) -> None:
        self._link = link
        self._refused = refused
        self._deadline = 0.0
        self._rounds = 0
        self.last: Reply | None = None

    def begin(self, deadline: float, rounds: int) -> None:
        self._deadline, self._rounds, self.last = deadline, rounds, None

    def apdu_exchange(self, cla: int, ins: int, data: bytes = b"", p1: int = 0, p2: int = 0) -> bytes:
        if self._rounds <= 0:
            self._link.distrust("it asked without end")
            raise SignerMisbehavedError("the ledger misbehaved: it asks for data without end; unplug it")
        self._rounds -= 1
        reply = self._link.exchange(bytes((cla, ins, p1, p2, len(data))) + data, deadline=self._deadline)
        self.last = reply
        if reply.status != OK:
            raise self._refused(reply.status, reply.data)
        return reply.data

    def stop(self) -> None:
        self._link.close()


def vendor_path(path: DerivationPath) -> str:
    """``m/84'/0'/0'``: the vendor's client knows no other mark of hardening."""
    return str(path).replace("h", "'")


def is_usual_path(path: DerivationPath, coin_type: int) -> bool:
    """Whether the app gives the key at ``path`` without showing it: an account of a standard, or below one."""
    indexes = path.indexes
    purpose = indexes[0] - HARDENED if indexes else -1
    hardened = {44: 3, 45: 3, 48: 4, 49: 3, 84: 3, 86: 3}.get(purpose)
    if hardened is None or len(indexes) < hardened:
        return False
    return (
        all(index >= HARDENED for index in indexes[:hardened])
        and all(index < HARDENED for index in indexes[hardened:])
        and indexes[1] == HARDENED + coin_type
        and indexes[2] <= HARDENED + MOST_ACCOUNT
        and (purpose != 48 or indexes[3] - HARDENED in (1, 2))
    )


def check_coin(path: DerivationPath, app: BitcoinApp) -> None:
    """Refuse a path of another coin than the open app's, saying which app it needs."""
    indexes = path.indexes
    if len(indexes) < 2 or indexes[0] < HARDENED or indexes[1] == HARDENED + app.coin_type:
        return
    needed = {CoinType.BITCOIN: "Bitcoin", CoinType.TESTNET: "Bitcoin Test", CoinType.ETHEREUM: "Ethereum"}
    coin = indexes[1] - HARDENED
    for kind, name in needed.items():
        if coin == kind:
            raise SignerUnavailableError(
                f"{path} belongs to the {name} app and the app open on the ledger is {app.app}: open the {name} app, "
                "then open the signer again",
                code="signer.app",
            )


def _plain(error: Exception) -> str:
    return (ascii(str(error))[1:-1] or type(error).__name__)[:200]
