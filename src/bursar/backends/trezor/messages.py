"""Messages signed by a Trezor: Bitcoin's (BIP-137) and Ethereum's personal ones (EIP-191)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.backends.trezor import bitcoin_paths as paths
from bursar.backends.trezor.ethereum_paths import check_ethereum_path
from bursar.backends.trezor.exchange import Exchange, one
from bursar.bitcoin.script import ScriptType
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError, SignerMisbehavedError

if TYPE_CHECKING:
    from bursar.backends.trezor.abilities import Firmware
    from bursar.bitcoin.network import Network
    from bursar.keys.path import DerivationPath


def sign_message(
    messages: Any,
    path: DerivationPath,
    message: bytes,
    *,
    firmware: Firmware,
    network: Network | None = None,
    strict: bool = True,
) -> Exchange[EcdsaSignature]:
    """The signature of a Bitcoin message by the key at ``path``, whose purpose says which address the device shows.

    ``UnsupportedError`` for taproot, for which BIP-137 has no form, and for more bytes than the model reads.
    """
    network = paths.network_of(path.indexes, network)
    paths.check_path(path.indexes, network, strict=strict)
    kind = paths.script_type_of(path)
    if kind is ScriptType.P2TR:
        raise firmware.cannot("messages are not signed for taproot addresses: use another account", "sign_message")
    _check_length(message, firmware, "sign_message")
    request = messages.SignMessage(
        address_n=list(path.indexes),
        message=message,
        coin_name=paths.coin_name(network, firmware),
        script_type=messages.InputScriptType[paths.INPUT_TYPES[kind]],
    )
    reply = yield from one(request, messages.MessageSignature)
    signature = reply.signature
    if len(signature) != 65 or not 27 <= signature[0] <= 42:
        raise _unfit("it is not the 65 bytes of BIP-137")
    return _recoverable(signature[1:], (signature[0] - 27) & 3)


def sign_personal_message(
    messages: Any,
    path: DerivationPath,
    message: bytes,
    *,
    firmware: Firmware,
    network: bytes | None = None,
    strict: bool = True,
) -> Exchange[EcdsaSignature]:
    """The signature of an Ethereum personal message by the key at ``path``.

    ``network`` is the vendor-signed definition of the chain, where the caller has one.
    """
    check_ethereum_path(path, strict=strict)
    _check_length(message, firmware, "sign_personal_message")
    request = messages.EthereumSignMessage(address_n=list(path.indexes), message=message, encoded_network=network)
    reply = yield from one(request, messages.EthereumMessageSignature)
    signature = reply.signature
    if len(signature) != 65:
        raise _unfit("it has not 65 bytes")
    v = signature[64]
    return _recoverable(signature[:64], v - 27 if v >= 27 else v)


def _check_length(message: bytes, firmware: Firmware, operation: str) -> None:
    most = firmware.longest_message
    if most is not None and len(message) > most:
        raise firmware.cannot(f"a message of {len(message)} bytes is longer than the {most} it reads", operation)


def _recoverable(compact: bytes, parity: int) -> EcdsaSignature:
    try:
        return EcdsaSignature.from_compact(compact, y_parity=parity, allow_high_s=True)
    except InvalidInputError as error:
        raise _unfit(error.message) from error


def _unfit(reason: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(f"the trezor's signature of the message is none: {reason}; do not trust it")
