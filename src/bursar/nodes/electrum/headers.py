"""The server's headers, made into a chain whose proof of work is checked before anything is proven against it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.headers import BlockHeader, Checkpoint, HeaderChain
from bursar.bitcoin.headers.chain import check_linked
from bursar.bitcoin.headers.checkpoints import period_end
from bursar.bitcoin.headers.difficulty import PERIOD
from bursar.bitcoin.headers.header import SIZE
from bursar.bitcoin.headers.merkle import header_root
from bursar.bitcoin.network import Network
from bursar.chain.protocols import BlockRef
from bursar.errors import ChainUnavailableError, InvalidInputError, WrongChainError
from bursar.nodes.electrum import reply as read
from bursar.nodes.electrum.session import LARGE, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

WINDOW: Final = 8
AT_ONCE: Final = 64  # periods
PACE: Final = 2.0
BLIND_DEPTH: Final = 288  # how far back to look again when the block known before was never seen here
MAX_ORPHANS: Final = 100_000


class ChainMovedError(ChainUnavailableError):
    """The server's chain changed between two questions; ask again."""


class ServerHeaders:
    """Follows one server's chain. ``removed`` is told the lowest height at which headers were replaced.

    Errors are ``ChainError``: ``chain.proof`` for headers that break a rule.
    """

    def __init__(
        self,
        network: Network,
        session: Session,
        checkpoint: Checkpoint | None,
        *,
        removed: Callable[[int], None],
    ) -> None:
        self._network, self._session, self._checkpoint = network, session, checkpoint
        self._removed = removed
        self._chain: HeaderChain | None = None
        self._single: dict[int, bytes] = {}
        self._ends: dict[int, bytes] = {}
        self._refs: dict[int, BlockRef] = {}
        self._orphans: dict[str, int] = {}
        self._genesis = b""

    # the greeting

    def greet(self, ask: Callable[..., Any]) -> None:
        """That a new connection leads to this network: its first block, by its hash."""
        raw = self._header_bytes(ask("blockchain.block.header", 0))
        name = BlockHeader.parse(raw).name
        if name != self._network.genesis_hash:
            raise WrongChainError(
                f"server {self._session.where} has genesis block {name}, not that of {self._network}: do not use it"
            )
        self._genesis = raw

    # the tip

    @property
    def chain(self) -> HeaderChain:
        """The headers known so far."""
        assert self._chain is not None, "asked before the first update"
        return self._chain

    def restore(self, base: int, raw: bytes) -> None:
        """Start from headers kept from an earlier run; they are checked as if a server had sent them."""
        trusted = SIZE if self._checkpoint is None else PERIOD * SIZE
        try:
            if self._checkpoint is None:
                chain = HeaderChain.from_genesis(self._network, raw[:trusted])
            else:
                chain = HeaderChain.from_checkpoint(self._network, self._checkpoint, raw[:trusted])
            if len(raw) > trusted:
                chain.extend(base + trusted // SIZE, raw[trusted:])
        except InvalidInputError:
            return  # read again from the server
        self._chain = chain

    def update(self) -> BlockRef:
        """Follow the server to its tip, which is given back."""
        try:
            height, raw = self._tip()
            if self._chain is None:
                self._chain = self._begin(height)
            self._follow(self._chain, height, raw)
        except InvalidInputError as error:
            if error.code == "input.header.weaker":
                raise ChainUnavailableError(
                    f"server {self._session.where} follows a chain with less work than one that is known: "
                    "use another server"
                ) from error
            read.unproven(error.message)
        return self.ref(height)

    def still(self, tip: BlockRef) -> bool:
        """Whether the server's tip is the same now."""
        height, raw = self._tip()
        return height == tip.height and BlockHeader.parse(raw).name == tip.hash

    def _tip(self) -> tuple[int, bytes]:
        reply = self._session.call("blockchain.headers.subscribe")
        return read.number(reply, "height"), self._header_bytes(read.field(reply, "hex", str))

    def _begin(self, height: int) -> HeaderChain:
        point = self._checkpoint
        if point is None:
            return HeaderChain.from_genesis(self._network, self._genesis)
        if height < point.height:
            raise ChainUnavailableError(
                f"server {self._session.where} is at block {height}, behind the checkpoint {point.height}: "
                "use another server, or an older checkpoint"
            )
        return HeaderChain.from_checkpoint(self._network, point, self._fetch(point.height - PERIOD + 1, PERIOD))

    def _follow(self, chain: HeaderChain, height: int, raw: bytes) -> None:
        name = BlockHeader.parse(raw).hash
        if height <= chain.height and height >= chain.base and chain.hash_at(height) == name:
            if height < chain.height:
                self._fall_back(chain, height)
            return
        if not (height > chain.height and self._grow(chain, height)):
            start = self._common(chain, height) + 1
            gone = [chain.hash_at(at)[::-1].hex() for at in range(start, chain.height + 1)]
            branch = self._fetch(start, height - start + 1)
            done = chain.extend(start, branch, now=int(time.time()), weaker=self._network is Network.REGTEST)
            self._forget(done.height, gone[done.height - start :])
        if chain.height != height or chain.tip != name:
            raise ChainMovedError(f"the chain of server {self._session.where} moved while it was read")

    def _grow(self, chain: HeaderChain, height: int) -> bool:
        """Add what the server has on top of our tip; whether our tip is on its chain."""
        tip = chain.height
        for at, part in self._parts(tip, height - tip + 1):
            if at == tip and part[:SIZE] != chain.raw(tip):
                return False
            chain.extend(at, part, now=int(time.time()))
        return True

    def _fall_back(self, chain: HeaderChain, height: int) -> None:
        """The server stands lower on the same chain: it lags, or on regtest blocks were taken back."""
        if self._network is not Network.REGTEST:
            raise ChainUnavailableError(
                f"server {self._session.where} is at block {height}, behind block {chain.height} known already: "
                "let it catch up, or use another server"
            )
        gone = [chain.hash_at(at)[::-1].hex() for at in range(height + 1, chain.height + 1)]
        chain.cut(height)
        self._forget(height + 1, gone)

    def _common(self, chain: HeaderChain, height: int) -> int:
        """A height at which the server's chain and ours agree, the highest or somewhat lower."""
        at = min(chain.height, height - 1)
        step = 1
        while True:
            if at < chain.base:
                at = chain.base
            if self._fetch(at, 1) == chain.raw(at, at + 1):
                return at
            if at == chain.base:
                read.unproven(f"its chain does not hold the trusted block at height {chain.base}")
            at -= step
            step *= 2

    def _forget(self, start: int, gone: list[str]) -> None:
        for name, lowest in self._orphans.items():
            self._orphans[name] = min(lowest, start)
        self._orphans.update(dict.fromkeys(gone, start))
        while len(self._orphans) > MAX_ORPHANS:
            del self._orphans[next(iter(self._orphans))]
        for height in [height for height in self._refs if height >= start]:
            del self._refs[height]
        self._removed(start)

    def reorganised(self, since: BlockRef) -> int | None:
        """The lowest height whose block differs from what ``since`` implied; nothing when it stands."""
        chain = self.chain
        known = self._orphans.get(since.hash)
        if since.height <= chain.height:
            self.need([since.height])
            if self.header(since.height).name == since.hash:
                return None
        elif known is None and self._network is not Network.REGTEST:
            raise ChainUnavailableError(
                f"server {self._session.where} is at block {chain.height}, behind block {since.height} known already: "
                "let it catch up, or use another server"
            )
        if known is not None:
            return known
        depth = since.height if self._network is Network.REGTEST else BLIND_DEPTH
        return max(1, min(since.height, chain.height + 1) - depth)

    # single headers

    def header(self, height: int) -> BlockHeader:
        """A header of the chain; one below its base must have been named to ``need`` before."""
        chain = self.chain
        if height >= chain.base:
            return chain.header(height)
        return BlockHeader.parse(self._single[height])

    def ref(self, height: int) -> BlockRef:
        """The block at a height."""
        found = self._refs.get(height)
        if found is None:
            header = self.header(height)
            found = self._refs[height] = BlockRef(height, header.name, header.time)
        return found

    def need(self, heights: Collection[int]) -> None:
        """Read those of some old headers that are not here, each with its link to what is trusted."""
        base = self.chain.base
        missing = sorted({height for height in heights if height < base and height not in self._single})
        if not missing:
            return
        try:
            root = self._checkpoint.header_root if self._checkpoint else None
            if root is not None and self._checkpoint is not None:
                self._by_branch(missing, self._checkpoint.height, bytes.fromhex(root)[::-1])
            else:
                for period in sorted({height // PERIOD for height in missing}, reverse=True):
                    self._by_period(period, {height for height in missing if height // PERIOD == period})
        except InvalidInputError as error:
            read.unproven(error.message)

    def _by_branch(self, heights: list[int], limit: int, root: bytes) -> None:
        replies = self._session.many("blockchain.block.header", [(height, limit) for height in heights])
        for height, reply in zip(heights, replies, strict=True):
            proof = self._session.expect("blockchain.block.header", reply)
            raw = self._header_bytes(read.field(proof, "header", str))
            branch = read.hashes(read.field(proof, "branch", list), "a branch")
            if header_root(BlockHeader.parse(raw).hash, branch, height) != root:
                read.unproven(f"the header at height {height} is not below the checkpoint")
            self._single[height] = raw

    def _by_period(self, period: int, heights: Collection[int]) -> None:
        raw = self._period(period, self._end(period))
        for height in heights:
            at = (height - period * PERIOD) * SIZE
            self._single[height] = raw[at : at + SIZE]

    def _end(self, period: int) -> bytes:
        """The trusted hash of a period's last block, if need be by linking back from what is trusted above it."""
        above = period
        while (known := self._known_end(above)) is None:
            above += 1
        while above > period:
            self._period(above, known)
            above -= 1
            known = self._ends[above]
        return known

    def _known_end(self, period: int) -> bytes | None:
        if (period + 1) * PERIOD == self.chain.base:
            return self.chain.header(self.chain.base).previous
        return self._ends.get(period) or period_end(self._network, period)

    def _period(self, period: int, end: bytes) -> bytes:
        raw = self._fetch(period * PERIOD, PERIOD)
        check_linked(raw, end)
        if period:
            self._ends[period - 1] = raw[4:36]
        return raw

    # reading

    def _fetch(self, start: int, count: int) -> bytes:
        return b"".join(part for _, part in self._parts(start, count))

    def _parts(self, start: int, count: int) -> Iterator[tuple[int, bytes]]:
        """Headers from a height on, in parts with the height of each one's first."""
        end = start + count
        while start < end:
            until = min(end, start + AT_ONCE * PERIOD)  # whatever height a server claims
            calls = [(at, min(PERIOD, until - at)) for at in range(start, until, PERIOD)]
            replies = self._session.many("blockchain.block.headers", calls, limit=LARGE, window=WINDOW, pace=PACE)
            for (at, wanted), reply in zip(calls, replies, strict=True):
                got = read.number(self._session.expect("blockchain.block.headers", reply), "count")
                raw = read.raw_bytes(read.field(reply, "hex", str), "headers")
                if len(raw) != got * SIZE or got > wanted:
                    read.nonsense("headers do not have the length they state")
                if not got:
                    raise ChainMovedError(f"the chain of server {self._session.where} got shorter while it was read")
                yield at, raw
                start = at + got
                if got < wanted:
                    break  # a server that gives fewer at once: go on from where it stopped

    def _header_bytes(self, value: Any) -> bytes:
        raw = read.raw_bytes(value, "a header")
        if len(raw) != SIZE:
            read.nonsense("a header has not 80 bytes")
        return raw
