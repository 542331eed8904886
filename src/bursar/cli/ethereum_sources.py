"""Whom to ask about an Ethereum chain: one provider, or several that have to agree; dissent is told."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bursar.cli.config import EthereumNode, EthereumProvider
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.chain.ethereum_chains import EthereumChain, EthereumChains
    from bursar.chain.protocols import EthereumBackend
    from bursar.cli.config import Config
    from bursar.cli.session import Session
    from bursar.nodes.ethrpc.quorum import Dissent

_MOST_TOLD: Final = 2
_LONGEST: Final = 120
_BARE: Final = re.compile(r"Address\((0x[0-9a-fA-F]{40})\)")


def providers_of(settings: Config, chains: EthereumChains, chain_id: int) -> EthereumNode | None:
    """The providers the settings name, else those of the chain's file; ``None`` where neither names one."""
    set_here = settings.ethereum.get(chain_id)
    if set_here is not None and set_here.providers:
        return set_here
    known = chains.by_id.get(chain_id)
    if known is None or not known.providers:
        if set_here is not None:
            raise InvalidInputError(
                f"[ethereum.{chain_id}] of config.toml has a quorum, and nobody names a provider: add its url",
                code="input.config",
            )
        return None
    quorum = None if set_here is None else set_here.quorum
    if quorum is not None and quorum > len(known.providers):
        raise InvalidInputError(
            f"[ethereum.{chain_id}] of config.toml: quorum {quorum} is more than the {len(known.providers)} providers "
            "there are",
            code="input.config",
        )
    return replace(node_of_file(known), quorum=quorum)


def node_of_file(chain: EthereumChain) -> EthereumNode:
    """The providers a chain's file names, called by their hosts, numbered where two share one."""
    found: list[EthereumProvider] = []
    for url in chain.providers:
        one, number = EthereumProvider.at(url), 2
        base = one.name
        while any(one.name == other.name for other in found):
            one, number = EthereumProvider(f"{base}#{number}", url), number + 1
        found.append(one)
    return EthereumNode(tuple(found))


def quorum_of(node: EthereumNode) -> int:
    """How many have to agree: as set, else more than half."""
    return node.quorum or len(node.providers) // 2 + 1


def ethereum_source(session: Session, chain_id: int, node: EthereumNode) -> EthereumBackend:
    """A source over all providers of ``node``; those that differ where enough agree are named on standard error."""
    from bursar.nodes.ethrpc import EthRpcBackend

    if len(node.providers) == 1:
        return EthRpcBackend(node.providers[0].url, chain_id=chain_id)
    from bursar.nodes.ethrpc.quorum import QuorumBackend

    backends = {one.name: EthRpcBackend(one.url, chain_id=chain_id) for one in node.providers}
    return QuorumBackend(backends, need=quorum_of(node), alert=Teller(session, chain_id))


class Teller:
    """Tells a human who differs: of each provider the first matters, and that there are more."""

    def __init__(self, session: Session, chain_id: int) -> None:
        self._session = session
        self._chain_id = chain_id
        self._told: dict[str, set[str]] = {}

    def __call__(self, found: Dissent) -> None:
        """Hear of one dissent."""
        from bursar.policy.render import plain_text

        for vote in found.votes:
            told = self._told.setdefault(vote.provider, set())
            matter = "" if vote.error is not None else found.what
            if matter in told or len(told) > _MOST_TOLD:
                continue
            told.add(matter)
            if len(told) > _MOST_TOLD:
                text = "differs about more"
            elif vote.error is not None:
                text = f"gave no answer about {found.what}, the others did: {vote}"
            else:
                says, believed = (_BARE.sub(r"\1", one) for one in (str(vote), found.believed))
                text = (
                    f"differs about {found.what}: it says {says}, believed is {plain_text(believed, longest=_LONGEST)}"
                )
            self._session.output.aside(f"! chain {self._chain_id}: {vote.provider} {text}")
