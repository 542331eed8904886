"""A device behind ``hwi`` as a signer: Bitcoin only; each question is a run of the command."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from bursar.backends.hwi.command import HUMAN_SECONDS, QUICK_SECONDS
from bursar.bitcoin.descriptor import add_checksum, strip_checksum
from bursar.bitcoin.psbt import Psbt
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError, SignerMisbehavedError, SignerUnavailableError, UnsupportedError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.path import HARDENED, DerivationPath
from bursar.keys.scheme import CoinType, Scheme
from bursar.signing.adoption import adopt_signatures
from bursar.signing.protocols import DeviceEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.backends.hwi.command import HwiCommand
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.crypto.secret import Secret
    from bursar.ethereum.account import EthereumAccount
    from bursar.signing.protocols import Prompt, SignerInfo

_TESTNET = HARDENED + CoinType.TESTNET
_TYPES = {Scheme.BIP44: "legacy", Scheme.BIP49: "sh_wit", Scheme.BIP84: "wit", Scheme.BIP86: "tap"}


class HwiSigner:
    """Fulfils ``PsbtSigner``, ``MessageSigner``, ``AddressDisplay``, ``ScriptAddressDisplay``; see ``HwiBackend``."""

    def __init__(
        self,
        info: SignerInfo,
        command: HwiCommand,
        device: Sequence[str],
        prompt: Prompt,
        *,
        password: Secret | None = None,
    ) -> None:
        self._info = info
        self._command = command
        self._device = tuple(device)
        self._prompt = prompt
        self._password = password
        self._closed = False

    @property
    def info(self) -> SignerInfo:
        """What was opened; its fingerprint is that of the keys in use."""
        return self._info

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """The extended public key at ``path``."""
        answer = self._ask(["--chain", _chain(path), "getxpub", str(path)], seconds=QUICK_SECONDS)
        try:
            return ExtendedPublicKey.from_text(str(answer["xpub"]))
        except (KeyError, InvalidInputError) as error:
            raise SignerMisbehavedError(f"hwi gave no extended public key for {path}") from error

    def sign_psbt(self, psbt: Psbt) -> Psbt:
        """A copy of ``psbt`` with the device's signatures; other differences in its answer are not taken over."""
        paths = [origin.path for one in psbt.inputs for origin in one.bip32_derivations.values()]
        paths += [origin.path for one in psbt.inputs for _, origin in one.tap_bip32_derivations.values()]
        chain = _chain(paths[0]) if paths else "main"
        self._prompt.notify(DeviceEvent("confirm", f"Confirm the transaction on the {self._info.model}."))
        answer = self._ask(["--chain", chain, "signtx", str(psbt)], seconds=HUMAN_SECONDS)
        try:
            given = Psbt.from_text(str(answer["psbt"]))
        except (KeyError, InvalidInputError) as error:
            raise SignerMisbehavedError("hwi answered with no psbt") from error
        return adopt_signatures(psbt, given)

    def sign_message(self, path: DerivationPath, message: bytes) -> EcdsaSignature:
        """A legacy Bitcoin message signature; ``hwi`` takes text, so the message must be UTF-8."""
        try:
            text = message.decode()
        except UnicodeDecodeError as error:
            raise UnsupportedError(
                "hwi signs texts only: this message is no UTF-8", operation="sign_message", model=self._info.model
            ) from error
        self._prompt.notify(DeviceEvent("confirm", f"Confirm the message on the {self._info.model}."))
        words = ["--chain", _chain(path), "signmessage", text, str(path)]
        answer = self._ask(words, seconds=HUMAN_SECONDS, in_public="\n" in text or "\r" in text)
        try:
            raw = base64.b64decode(str(answer["signature"]), validate=True)
            if len(raw) != 65 or not 27 <= raw[0] <= 42:
                raise ValueError(raw)
            made = EcdsaSignature.from_compact(raw[1:])
        except (KeyError, ValueError, binascii.Error) as error:
            raise SignerMisbehavedError("hwi answered with no message signature") from error
        return EcdsaSignature(made.r, made.s, (raw[0] - 27) & 1)

    def display_address(self, account: BitcoinAccount | EthereumAccount, branch: int, index: int) -> str:
        """Have the device show an address; what ``hwi`` says it showed."""
        from bursar.bitcoin.account import BitcoinAccount

        if not isinstance(account, BitcoinAccount):
            raise UnsupportedError("hwi drives bitcoin only", operation="display_address", model=self._info.model)
        self._prompt.notify(DeviceEvent("confirm", f"Compare the address on the {self._info.model}."))
        words = ["--chain", account.network.chain, "displayaddress", "--addr-type", _TYPES[account.scheme]]
        answer = self._ask([*words, "--path", str(account.path(branch, index))], seconds=HUMAN_SECONDS)
        return str(answer.get("address"))

    def display_script_address(self, account: ScriptAccount, branch: int, index: int) -> str:
        """Have the device show an address of an account of several keys, by the descriptor of that one address.

        Which it knows, and whether they must be registered first, is for ``hwi`` to say.
        """
        self._prompt.notify(DeviceEvent("confirm", f"Compare the address on the {self._info.model}."))
        text = strip_checksum(account.descriptor(branch), required=False).replace("/*", f"/{index}")
        words = ["--chain", account.network.chain, "displayaddress", "--desc", add_checksum(text)]
        return str(self._ask(words, seconds=HUMAN_SECONDS).get("address"))

    def close(self) -> None:
        """Forget the passphrase."""
        self._closed = True
        if self._password is not None:
            self._password.wipe()

    def _ask(self, words: Sequence[str], *, seconds: float, in_public: bool = False) -> dict[str, Any]:
        if self._closed:
            raise SignerUnavailableError("this signer is closed: open it again")
        told = [*self._device, *words]
        return self._command.ask(told, seconds=seconds, password=self._password, in_public=in_public)


def _chain(path: DerivationPath) -> str:
    return "test" if len(path) > 1 and path.indexes[1] == _TESTNET else "main"
