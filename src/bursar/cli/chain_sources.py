"""Where Bitcoin's chain is asked about: Bitcoin Core, an Electrum server or Esplora's, as ``config.toml`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.cli.config import FIRST_USE

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network
    from bursar.chain.protocols import BitcoinBackend
    from bursar.cli.config import BitcoinNode
    from bursar.cli.home import Home


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
