"""What every step of the wallet is given: the store, the clock, the fee caps, and who watches the steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bursar.chain.ethereum_chains import EthereumChains
from bursar.wallet.journal import append

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from sqlalchemy import Connection

    from bursar.bitcoin.network import Network
    from bursar.chain.fees import FeeCaps
    from bursar.chain.protocols import FeeEstimator
    from bursar.wallet.names import NameResolver
    from bursar.wallet.store.engine import Store


@dataclass(frozen=True, slots=True)
class Context:
    """Passed by the facade to the modules that do its work."""

    store: Store
    caps: FeeCaps
    clock: Callable[[], float]
    on_step: Callable[[str], None] | None = None
    rng: Random | None = None  # for coin selection; by default the system's randomness
    fee_estimators: Mapping[Network, Mapping[str, FeeEstimator]] = field(default_factory=dict)
    chains: EthereumChains = field(default_factory=EthereumChains.built_in)
    names: NameResolver | None = None

    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock())

    def note(self, connection: Connection, kind: str, **body: Any) -> None:
        """A journal line in the caller's transaction."""
        append(connection, self.now(), kind, body)

    def passed(self, step: str) -> None:
        """Tell the watcher that ``step`` lies behind."""
        if self.on_step is not None:
            self.on_step(step)
