"""Networks and tokens: those built into the firmware, and those a host brings with the vendor's signature."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trezorlib import cosi, messages
from trezorlib._ed25519 import SignatureMismatch

from bursar_devices.trezor import codec
from bursar_devices.trezor.workflow import data_error

if TYPE_CHECKING:
    from trezorlib import protobuf

_MAGIC = b"trzd1"
_NETWORK, _TOKEN = 0, 1
_THRESHOLD = 2
_KEYS = tuple(
    bytes.fromhex(key)
    for key in (
        "4334996343623e462f0fc93311fef1484ca23d2ff1eec6df1fa8eb7e3573b3db",
        "a9a22cc265a0cb1d6cb329bc0e60bc45df76b9ab28fb87b61136feaf8d8fdc96",
        "b8d2b21de27124f0511f903ae7e60e07961810a0b8f28ea755fa50367a8a2b8b",
    )
)


@dataclass(frozen=True, slots=True)
class EthereumNetwork:
    """One chain; ``chain_id`` 0 is a chain the device does not know."""

    chain_id: int
    coin_type: int
    symbol: str

    @property
    def known(self) -> bool:
        return self.chain_id != 0


@dataclass(frozen=True, slots=True)
class EthereumToken:
    """An ERC-20 token."""

    symbol: str
    decimals: int


UNKNOWN = EthereumNetwork(0, 0, "UNKN")
UNKNOWN_TOKEN = EthereumToken("Wei UNKN", 0)

_COMMON = (
    EthereumNetwork(1, 60, "ETH"),
    EthereumNetwork(10, 614, "ETH"),
    EthereumNetwork(56, 714, "BNB"),
    EthereumNetwork(61, 61, "ETC"),
    EthereumNetwork(137, 966, "POL"),
    EthereumNetwork(8453, 8453, "ETH"),
    EthereumNetwork(42161, 9001, "ETH"),
)
_NEWER = (EthereumNetwork(560048, 60, "tHOD"), EthereumNetwork(11155111, 60, "tSEP"))
_OLDER = (EthereumNetwork(17000, 1, "tHOL"), EthereumNetwork(11155111, 1, "tSEP"))
_TOKENS = {
    (1, bytes.fromhex("6b175474e89094c44da98b954eedeac495271d0f")): EthereumToken("DAI", 18),
    (1, bytes.fromhex("514910771af9ca656af840dff83e8264ecf986ca")): EthereumToken("LINK", 18),
    (1, bytes.fromhex("dac17f958d2ee523a2206206994597c13d831ec7")): EthereumToken("USDT", 6),
    (1, bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")): EthereumToken("USDC", 6),
    (1, bytes.fromhex("2260fac5e5542a773aa44fbcfedf7c193bc2c599")): EthereumToken("WBTC", 8),
}


def networks(*, legacy: bool) -> tuple[EthereumNetwork, ...]:
    """The chains built in: test networks moved to coin type 60 in the latest legacy firmware."""
    return _COMMON + (_NEWER if legacy else _OLDER)


def _parse(encoded: bytes, wanted: int) -> tuple[bytes, bytes, int, bytes]:
    """The payload, the Merkle root, the mask of signers and their signature."""
    if encoded[: len(_MAGIC)] != _MAGIC or len(encoded) < 12:
        raise data_error("Invalid definition")
    kind, _, length = struct.unpack_from("<BIH", encoded, len(_MAGIC))
    if kind != wanted:
        raise data_error("Definition type mismatch")
    end = len(_MAGIC) + 7 + length
    tail = encoded[end:]
    if not tail or len(tail) != 1 + 32 * tail[0] + 65:
        raise data_error("Invalid definition")
    root = hashlib.sha256(b"\x00" + encoded[:end]).digest()
    for number in range(tail[0]):
        other = tail[1 + 32 * number : 33 + 32 * number]
        root = hashlib.sha256(b"\x01" + min(root, other) + max(root, other)).digest()
    return encoded[len(_MAGIC) + 7 : end], root, tail[-65], tail[-64:]


def _decode(encoded: bytes, wanted: int, kind: type[protobuf.MessageType]) -> protobuf.MessageType:
    payload, root, signers, signature = _parse(encoded, wanted)
    try:
        cosi.verify(signature, root, _THRESHOLD, list(_KEYS), signers)
    except (ValueError, SignatureMismatch) as error:
        raise data_error("Invalid definition signature") from error
    try:
        return codec.decode(kind, payload)
    except codec.MalformedError as error:
        raise data_error("Invalid definition") from error


def network_of(
    encoded: bytes | None, *, chain_id: int | None = None, coin_type: int | None = None, legacy: bool
) -> EthereumNetwork:
    """The chain of a chain id or of a path's coin type; the host's definition counts where none is built in."""
    for network in networks(legacy=legacy):
        if chain_id == network.chain_id or (chain_id is None and coin_type == network.coin_type):
            return network
    if encoded is None or (chain_id is None and coin_type is None):
        return UNKNOWN
    found = _decode(encoded, _NETWORK, messages.EthereumNetworkInfo)
    assert isinstance(found, messages.EthereumNetworkInfo)
    if chain_id not in (None, found.chain_id) or coin_type not in (None, found.slip44):
        raise data_error("Network definition mismatch")
    return EthereumNetwork(found.chain_id, found.slip44, found.symbol)


def token_at(encoded: bytes | None, network: EthereumNetwork, contract: bytes) -> EthereumToken | None:
    """The token of a contract: built in, brought by the host, or ``None``."""
    token = _TOKENS.get((network.chain_id, contract))
    if token is not None or encoded is None or not network.known:
        return token
    found = _decode(encoded, _TOKEN, messages.EthereumTokenInfo)
    assert isinstance(found, messages.EthereumTokenInfo)
    if (found.chain_id, found.address) != (network.chain_id, contract):
        return None
    return EthereumToken(found.symbol, found.decimals)
