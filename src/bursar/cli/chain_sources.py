"""Where Bitcoin's chain is asked about: Bitcoin Core, an Electrum server or Esplora's, as ``config.toml`` says."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.cli.config import FIRST_USE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.bitcoin.network import Network
    from bursar.bitcoin.units import FeeRate
    from bursar.chain.protocols import BitcoinBackend, FeeEstimator
    from bursar.cli.config import BitcoinNode
    from bursar.cli.home import Home


def fee_estimators(nodes: Mapping[Network, BitcoinNode], home: Home) -> dict[Network, dict[str, FeeEstimator]]:
    """By name for each network, those the settings name besides the node; a server is asked when a rate is wanted."""
    from bursar.bitcoin.units import FeeRate
    from bursar.chain.estimates import FixedRate

    return {
        network: {
            f"the rate of {one}" if isinstance(one, FeeRate) else one.url: FixedRate(one)
            if isinstance(one, FeeRate)
            else _Asked(one, network, home)
            for one in node.fees
        }
        for network, node in nodes.items()
        if node.fees
    }


@dataclass(frozen=True, slots=True)
class _Asked:
    """Connects for one question."""

    node: BitcoinNode
    network: Network
    home: Home

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:
        with closing(chain_source(self.node, self.network, self.home)) as source:
            source.check_network()
            return source.fee_rate(target_blocks=target_blocks)


def chain_source(node: BitcoinNode, network: Network, home: Home) -> BitcoinBackend:
    """The client of the kind the settings name; what it may remember between commands is kept in ``home``."""
    kept = home.folder / "servers"
    first_use = node.certificate == FIRST_USE
    certificate = None if first_use else node.certificate
    known = kept / "known.json" if first_use else None
    if first_use or node.kind == "electrum":
        kept.mkdir(mode=0o700, exist_ok=True)
    if node.kind == "electrum":
        from bursar.nodes.electrum import ElectrumBackend

        return ElectrumBackend(
            node.url,
            network=network,
            certificate=certificate,
            known_servers=known,
            proxy=node.proxy,
            cache=kept / f"electrum-{network.name}.db",
        )
    if node.kind == "esplora":
        from bursar.nodes.esplora import EsploraBackend

        return EsploraBackend(node.url, network=network, certificate=certificate, known_servers=known)
    from bursar.nodes.bitcoind import BitcoindBackend

    return BitcoindBackend(
        node.url,
        network=network,
        cookie=node.cookie,
        user=node.user,
        password=node.password,
        certificate=certificate,
        known_servers=known,
    )
