"""The Bitcoin networks: address versions, coin types (SLIP-44) and genesis blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bursar.errors import InvalidInputError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Network:
    """One network; the five constants are all. ``genesis_hash`` is display hex, ``chain`` Bitcoin Core's name."""

    name: str
    chain: str
    hrp: str
    p2pkh: int
    p2sh: int
    coin_type: int
    genesis_hash: str

    MAIN: ClassVar[Network]
    TESTNET: ClassVar[Network]
    TESTNET4: ClassVar[Network]
    SIGNET: ClassVar[Network]
    REGTEST: ClassVar[Network]

    @property
    def testnet(self) -> bool:
        """True for every network whose coins have no value (and whose extended keys read ``tpub``)."""
        return self.coin_type != 0

    @classmethod
    def from_text(cls, text: str) -> Network:
        """By name or by Core's chain name: ``main``, ``testnet``/``test``, ``testnet4``, ``signet``, ``regtest``."""
        try:
            return _BY_NAME[text]
        except KeyError:
            raise InvalidInputError(
                f"network {text[:32]!r} is unknown: use one of {', '.join(network.name for network in NETWORKS)}",
                code="input.network",
            ) from None

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Network.{self.name.upper()}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Network.from_text, (self.name,)


Network.MAIN = Network(
    "main", "main", "bc", 0x00, 0x05, 0, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
)
Network.TESTNET = Network(
    "testnet", "test", "tb", 0x6F, 0xC4, 1, "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"
)
Network.TESTNET4 = Network(
    "testnet4", "testnet4", "tb", 0x6F, 0xC4, 1, "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"
)
Network.SIGNET = Network(
    "signet", "signet", "tb", 0x6F, 0xC4, 1, "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"
)
Network.REGTEST = Network(
    "regtest", "regtest", "bcrt", 0x6F, 0xC4, 1, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
)
NETWORKS: tuple[Network, ...] = (
    Network.MAIN,
    Network.TESTNET,
    Network.TESTNET4,
    Network.SIGNET,
    Network.REGTEST,
)
_BY_NAME = {name: network for network in NETWORKS for name in (network.name, network.chain)}
