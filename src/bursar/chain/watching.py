"""Watching a chain by asking again and again: the ``ChainWatcher`` for sources that cannot call back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from bursar.chain.protocols import ChainEvent, SyncRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bursar.bitcoin.transaction import Txid
    from bursar.chain.protocols import BitcoinBackend, BlockRef, ChainCoin, ChainUpdate

INTERVAL: Final = 15.0


class PollingWatcher:
    """``ChainWatcher`` over any ``BitcoinBackend``, which is asked every ``interval`` seconds; it is not closed here.

    What is there when a script comes under watch is not an event.
    """

    def __init__(
        self,
        backend: BitcoinBackend,
        scripts: Iterable[bytes] = (),
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._backend = backend
        self._interval, self._clock, self._sleep = interval, clock, sleep
        self._watched: dict[bytes, None] = dict.fromkeys(scripts)
        self._asked: frozenset[bytes] = frozenset()
        self._tip: BlockRef | None = None
        self._coins: tuple[ChainCoin, ...] = ()
        self._seen: dict[Txid, str | None] = {}
        self._next = clock()

    def watch(self, scripts: Iterable[bytes]) -> None:
        """These too, from the next question on."""
        self._watched |= dict.fromkeys(scripts)

    def wait(self, *, timeout: float) -> tuple[ChainEvent, ...]:
        """What changed; empty when nothing did within ``timeout`` seconds. Raises what the backend raises."""
        end = self._clock() + timeout
        while True:
            now = self._clock()
            if now >= self._next:
                self._next = now + self._interval
                events = self._look()
                if events:
                    return events
            left = min(end, self._next) - self._clock()
            if end <= self._clock():
                return ()
            self._sleep(max(left, 0.0))

    def close(self) -> None:
        """Nothing is held."""

    def _look(self) -> tuple[ChainEvent, ...]:
        before = self._tip
        scripts = tuple(self._watched)
        if not scripts:
            self._tip = self._backend.check_network()
            return self._tip_event(before)
        update = self._backend.sync(
            SyncRequest(
                scripts,
                since=before,
                coins=self._coins if self._asked else None,
                fresh=frozenset(scripts) - self._asked,
            )
        )
        known = self._asked
        self._tip, self._coins, self._asked = update.tip, update.coins, frozenset(scripts)
        return self._tip_event(before) + self._script_events(update, known)

    def _tip_event(self, before: BlockRef | None) -> tuple[ChainEvent, ...]:
        assert self._tip is not None
        if before is None or before.hash == self._tip.hash:
            return ()
        return (ChainEvent("tip", block=self._tip.hash),)

    def _script_events(self, update: ChainUpdate, known: frozenset[bytes]) -> tuple[ChainEvent, ...]:
        """An event for each transaction whose place is new, and each watched script of its outputs."""
        events: list[ChainEvent] = []
        for item in update.transactions:
            place = None if item.block is None else item.block.hash
            txid = item.tx.txid
            if txid in self._seen and self._seen[txid] == place:
                continue
            self._seen[txid] = place
            if not known:
                continue
            paid = [output.script for output in item.tx.outputs if output.script in self._watched]
            if not paid:  # it spends from one: which of them is for a sync to say
                events.append(ChainEvent("script", txid=txid))
            events += [
                ChainEvent("script", script=script, txid=txid) for script in dict.fromkeys(paid) if script in known
            ]
        return tuple(events)
