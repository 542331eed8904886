"""Several providers of one Ethereum chain as one source, believed where enough of them say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.chain.ethereum_reading import (
    AccessLister,
    BalanceReader,
    BlobFeeReader,
    BlockReader,
    HeadReader,
    Simulator,
    Tracer,
)
from bursar.chain.protocols import BlockRef, FeeQuote, Log, Receipt
from bursar.errors import (
    BroadcastRejectedError,
    ChainError,
    ChainUnavailableError,
    InvalidInputError,
    ProvidersDisagreeError,
    WrongChainError,
)
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc.quorum_reading import (
    agree_balances,
    agree_heads,
    agree_offered,
    agree_simulation,
    moved,
)
from bursar.nodes.ethrpc.votes import Vote, agreed, answers, ask, dissent, refuse

if TYPE_CHECKING:
    from bursar.chain.ethereum_reading import BlockBody, Heads, InternalTransfer, Simulation
    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.access_list import AccessListEntry
    from bursar.ethereum.address import Address
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.nodes.ethrpc.logs import Topics

_ATTEMPTS: Final = 3
_FEES: Final = ("base_fee", "slow", "normal", "fast")


@dataclass(frozen=True, slots=True)
class Dissent:
    """Providers that said something else than those that were believed: to be looked at, not to be feared at once."""

    what: str
    believed: str
    votes: tuple[Vote, ...]


class QuorumBackend:
    """``providers`` by name, of which ``need`` have to agree; fulfils ``EthereumBackend``.

    - Balances, code, calls, logs and receipts: the value that ``need`` of them give. A receipt that fewer have seen is
      no receipt yet.
    - Nonces: the highest that ``need`` of them reach, so that neither one that lags nor one that invents decides.
      ``persisted`` tells the next nonce the caller knows of; an answer more than ``largest_jump`` above it, or below
      what was agreed on before, is ``chain.nonce``.
    - Fees: the median; ``need`` of them have to lie within ``spread`` times of it, else ``chain.fee-disagreement``;
      above ``most_base_fee``, in wei for one gas, it is ``chain.fee-absurd``.
    - A transaction is sent to all; one that takes it is enough.

    ``ProvidersDisagreeError`` carries what each said. ``alert`` hears of those that differed where enough agreed.
    Not for several threads at once.
    """

    def __init__(
        self,
        providers: Mapping[str, EthereumBackend],
        *,
        need: int = 2,
        persisted: Callable[[Address], int | None] | None = None,
        largest_jump: int = 16,
        spread: int = 3,
        most_base_fee: Wei | None = None,
        alert: Callable[[Dissent], None] | None = None,
    ) -> None:
        if not 0 < need <= len(providers):
            raise InvalidInputError(f"of {len(providers)} providers 1 to {len(providers)} can be needed, not {need}")
        ids = {one.chain_id for one in providers.values()}
        if len(ids) != 1:
            raise InvalidInputError(f"the providers are for several chains: {', '.join(map(str, sorted(ids)))}")
        if largest_jump < 1 or spread < 1:
            raise InvalidInputError("largest_jump and spread are at least 1")
        self._providers = dict(providers)
        self._need = need
        self._chain_id = ids.pop()
        self._persisted = persisted
        self._largest_jump = largest_jump
        self._spread = spread
        self._most_base_fee = most_base_fee
        self._alert = alert
        self._counted: dict[Address, int] = {}

    @property
    def chain_id(self) -> int:
        """The chain every provider is asked for."""
        return self._chain_id

    def check_chain(self) -> BlockRef:
        """A block that ``need`` providers have reached; WrongChainError as soon as one of them serves another chain."""
        votes = self._ask(lambda one: one.check_chain())
        for vote in votes:
            if isinstance(vote.error, WrongChainError):
                raise WrongChainError(f"{vote.provider}: {vote.error.message}")
        tip = self._reached(answers(votes, self._need, "the chain"))
        if tip is None:
            refuse(votes, "the providers disagree about the last block")
        return tip

    def _reached(self, tips: list[BlockRef]) -> BlockRef | None:
        """The highest block that ``need`` providers have reached and, where they can be asked, say to stand there."""
        reached = sorted((one.height for one in tips), reverse=True)[self._need - 1]
        readers = sum(isinstance(one, HeadReader) for one in self._providers.values())
        for height in sorted({one.height for one in tips if one.height <= reached}, reverse=True):
            here = [one for one in tips if one.height == height]
            best = max(here, key=here.count)
            if here.count(best) >= self._need:
                return best
            if readers < self._need:
                if here.count(best) == len(here):
                    return best
                continue
            try:
                found = self.block_at(height)
            except ProvidersDisagreeError:
                continue
            if found is not None:
                return found
        return None

    def genesis_hash(self) -> str:
        """The hash of block 0."""
        return str(self._agreed("the first block", lambda one: one.genesis_hash()))

    def balance(self, address: Address, *, pending: bool = False) -> Wei:
        """The balance that enough providers give; right after a block they may differ for a moment: ask again."""
        found: Wei = self._agreed(f"the balance of {address}", lambda one: one.balance(address, pending=pending))
        return found

    def nonce(self, address: Address, *, pending: bool = False) -> int:
        """The next nonce that enough providers reach; pending, it is never below the one persisted."""
        return self._believed(address, self._ask(lambda one: one.nonce(address, pending=pending)), pending=pending)

    def _believed(self, address: Address, votes: tuple[Vote, ...], *, pending: bool) -> int:
        what = f"the nonce of {address}"
        counts: list[int] = sorted(answers(votes, self._need, what), reverse=True)
        count = counts[self._need - 1]
        self._tell(what, votes, count)
        persisted = self._persisted(address) if self._persisted is not None else None
        if persisted is not None and count > persisted + self._largest_jump:
            reason = f"{what} is said to be {count}, {persisted} was next here: somebody else signs, or they lie"
            refuse(votes, reason, code="chain.nonce")
        before = self._counted.get(address, 0)
        if count < before:
            refuse(votes, f"{what} fell from {before} to {count}: a reorganisation, or they lie", code="chain.nonce")
        if not pending:
            self._counted[address] = count
        return max(count, persisted or 0) if pending else count

    def nonces(self, owners: Sequence[Address]) -> Mapping[Address, int]:
        """The next nonce of each owner after the last block, under the rules of :meth:`nonce`."""
        votes = self._ask_those(BalanceReader, lambda one: one.nonces(owners))
        found: list[Mapping[Address, int]] = answers(votes, self._need, "nonces")
        counts = {}
        for owner in dict.fromkeys(owners):
            said = tuple(one if one.error is not None else Vote(one.provider, one.value.get(owner, 0)) for one in votes)
            counts[owner] = self._believed(owner, said, pending=False)
        if any(one != counts for one in found):
            self._tell("nonces", votes, counts)
        return counts

    def forget_nonce(self, address: Address) -> None:
        """Accept a lower nonce from now on, once somebody looked into why it fell."""
        self._counted.pop(address, None)

    def fees(self) -> FeeQuote:
        """The median of each fee."""
        votes = self._ask(lambda one: one.fees())
        quotes: list[FeeQuote] = answers(votes, self._need, "fees")
        base_fee = _median([one.base_fee for one in quotes])
        near = [one for one in quotes if self._near(one.base_fee, base_fee)]
        if len(near) < self._need:
            refuse(votes, "the providers disagree about fees", code="chain.fee-disagreement")
        if len(near) < len(votes):
            far = tuple(one for one in votes if one.error is not None or one.value not in near)
            self._say(Dissent("fees", f"a base fee of {base_fee}", far))
        if self._most_base_fee is not None and base_fee > self._most_base_fee:
            raise ChainError(
                f"a base fee of {Wei(base_fee).to_gwei_text()} is above the cap of "
                f"{self._most_base_fee.to_gwei_text()}: wait, or raise the cap",
                code="chain.fee-absurd",
            )
        slow, normal, fast = (_median([getattr(one, name) for one in near]) for name in _FEES[1:])
        normal = max(slow, normal)
        return FeeQuote(base_fee=Wei(base_fee), slow=Wei(slow), normal=Wei(normal), fast=Wei(max(normal, fast)))

    def blob_base_fee(self) -> Wei | None:
        """The median price of blobs; ``None`` where fewer than ``need`` providers know of blobs."""
        able = {name: one for name, one in self._providers.items() if isinstance(one, BlobFeeReader)}
        votes = ask(able, lambda one: one.blob_base_fee())
        said = [one.value for one in votes if one.error is None and one.value is not None]
        if len(said) < self._need and all(one.error is None for one in votes):
            return None
        found: list[Wei] = answers(votes, self._need, "the price of blobs")
        prices = [one for one in found if one is not None]
        middle = _median(prices) if prices else 0
        if sum(self._near(one, middle) for one in prices) < self._need:
            refuse(votes, "the providers disagree about the price of blobs", code="chain.fee-disagreement")
        return Wei(middle)

    def _near(self, value: int, middle: int) -> bool:
        return value <= middle * self._spread and middle <= value * self._spread

    def estimate_gas(self, sender: Address, tx: UnsignedTransaction) -> int:
        """The largest estimate that is near the median; a refusal by the contract where enough providers say so."""
        votes = self._ask(lambda one: one.estimate_gas(sender, tx))
        self._raise_reverted(votes)
        estimates: list[int] = answers(votes, self._need, "gas")
        middle = _median(estimates)
        near = [one for one in estimates if self._near(one, middle)]
        if len(near) < self._need:
            refuse(votes, "the providers disagree about gas")
        if len(near) < len(votes):
            far = tuple(one for one in votes if one.error is not None or one.value not in near)
            self._say(Dissent("gas", str(middle), far))
        return max(near)

    def call(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        """What a contract answers; a refusal by the contract where enough providers say so."""
        votes = self._ask(lambda one: one.call(to, data, sender=sender))
        self._raise_reverted(votes)
        return bytes(self._decide(f"an answer of {to}", votes))

    def code(self, address: Address) -> bytes:
        """The code at an address."""
        return bytes(self._agreed(f"the code of {address}", lambda one: one.code(address)))

    def broadcast(self, raw: bytes) -> str:
        """Send to every provider; one that takes it is enough. If none does, what the first refusal said.

        When one of them did not answer and no other took it, nobody can say whether it was taken:
        ``ChainUnavailableError``, send the same bytes again.
        """
        votes = self._ask(lambda one: one.broadcast(raw))
        taken = [one.value for one in votes if one.error is None]
        if taken:
            self._tell("a transaction that was sent", votes, taken[0])
            return str(taken[0])
        away = next((one.error for one in votes if isinstance(one.error, ChainUnavailableError)), None)
        rejected = next((one.error for one in votes if isinstance(one.error, BroadcastRejectedError)), None)
        error = away or rejected or votes[0].error
        assert error is not None
        raise error

    def receipt(self, tx_hash: str) -> Receipt | None:
        """The outcome that enough providers give; ``None`` while fewer know it. Two different ones are refused."""
        votes = self._ask(lambda one: one.receipt(tx_hash))
        seen = [one for one in answers(votes, self._need, "a receipt") if one is not None]
        if any(one != seen[0] for one in seen):
            enough = [one for one in seen if seen.count(one) >= self._need]
            if not enough or any(one != enough[0] for one in enough):
                refuse(votes, f"the providers give different receipts of {tx_hash}")
            seen = enough
        found = seen[0] if len(seen) >= self._need else None
        self._tell(f"the receipt of {tx_hash}", votes, found)
        return found

    def transaction(self, tx_hash: str) -> bytes | None:
        """The raw bytes of a transaction from any provider: each has checked them against the hash."""
        votes = self._ask(lambda one: one.transaction(tx_hash))
        found = next((one.value for one in votes if one.value is not None), None)
        if found is None:
            answers(votes, self._need, "a transaction")
        return found

    def logs(self, *, addresses: Sequence[Address], topics: Topics, from_block: int, to_block: int) -> tuple[Log, ...]:
        """The logs that enough providers give, none more and none less."""
        found: tuple[Log, ...] = self._agreed(
            f"logs of the blocks {from_block} to {to_block}",
            lambda one: one.logs(addresses=addresses, topics=topics, from_block=from_block, to_block=to_block),
        )
        return found

    def heads(self) -> Heads:
        """For each mark the highest block that ``need`` providers have reached and agree about."""
        votes = self._ask_those(HeadReader, lambda one: one.heads())
        found = agree_heads(votes, self._need, self.block_at)
        self._tell("the heads", votes, found)
        return found

    def block_at(self, height: int) -> BlockRef | None:
        """The block at a height that enough providers give."""
        votes = self._ask_those(HeadReader, lambda one: one.block_at(height))
        found: BlockRef | None = self._decide(f"the block at {height}", votes)
        return found

    def block_body(self, height: int) -> BlockBody:
        """The block at a height with its transactions, as enough providers give it."""
        votes = self._ask_those(BlockReader, lambda one: one.block_body(height))
        found: BlockBody = self._decide(f"the block at {height}", votes)
        return found

    def block_receipts(self, block: BlockRef) -> tuple[Receipt, ...] | None:
        """Every receipt of a block; ``None`` where fewer than ``need`` providers offer them."""
        votes = self._ask_those(BlockReader, lambda one: one.block_receipts(block))
        found: tuple[Receipt, ...] | None = agree_offered(votes, self._need, f"receipts of block {block.height}")
        self._tell(f"receipts of block {block.height}", votes, found)
        return found

    def internal_transfers(self, block: BlockRef) -> tuple[InternalTransfer, ...] | None:
        """The ether contracts moved in a block; ``None`` where fewer than ``need`` providers trace it."""
        tracing = {name: one for name, one in self._providers.items() if isinstance(one, Tracer)}
        votes = ask(tracing, lambda one: one.internal_transfers(block))
        found: tuple[InternalTransfer, ...] | None = agree_offered(votes, self._need, f"traces of block {block.height}")
        if found is not None:
            self._tell(f"traces of block {block.height}", votes, found)
        return found

    def balances(
        self, owners: Sequence[Address], contracts: Sequence[Address]
    ) -> tuple[BlockRef, Mapping[tuple[Address, Address | None], int | None]]:
        """Ether (``None``) and tokens of every owner, at one block and each number as enough providers give it.

        They are asked again where they stand at different blocks; ``chain.moved`` when that does not help.
        """
        for _ in range(_ATTEMPTS):
            votes = self._ask_those(BalanceReader, lambda one: one.balances(owners, contracts))
            found = agree_balances(votes, self._need)
            if found is not None:
                self._tell(f"balances at block {found[0].height}", votes, found)
                return found
        raise moved()

    def simulate(self, sender: Address, tx: UnsignedTransaction) -> Simulation:
        """What enough providers find that ``tx`` would do."""
        votes = self._ask_those(Simulator, lambda one: one.simulate(sender, tx))
        return agree_simulation(votes, self._need)

    def access_list(self, sender: Address, tx: UnsignedTransaction) -> tuple[AccessListEntry, ...] | None:
        """What enough providers find that ``tx`` touches; ``None`` where fewer than ``need`` of them look."""
        able = {name: one for name, one in self._providers.items() if isinstance(one, AccessLister)}
        votes = ask(able, lambda one: one.access_list(sender, tx))
        self._raise_reverted(votes)
        found: tuple[AccessListEntry, ...] | None = agree_offered(votes, self._need, "the access list")
        return found

    def close(self) -> None:
        """Hang up everywhere; idempotent."""
        for one in self._providers.values():
            one.close()

    def _ask(self, question: Callable[[EthereumBackend], Any]) -> tuple[Vote, ...]:
        return ask(self._providers, question)

    def _ask_those(self, kind: type, question: Callable[[Any], Any]) -> tuple[Vote, ...]:
        """The votes of those that offer ``kind``, when they are enough."""
        able = {name: one for name, one in self._providers.items() if isinstance(one, kind)}
        if len(able) < self._need:
            raise ChainError(
                f"{len(able)} of {len(self._providers)} providers can be asked this, {self._need} have to",
                code="chain.refused",
            )
        return ask(able, question)

    def _agreed(self, what: str, question: Callable[[EthereumBackend], Any]) -> Any:
        return self._decide(what, self._ask(question))

    def _decide(self, what: str, votes: tuple[Vote, ...]) -> Any:
        value = agreed(votes, self._need, what)
        self._tell(what, votes, value)
        return value

    def _raise_reverted(self, votes: tuple[Vote, ...]) -> None:
        reverted = [one.error for one in votes if one.error is not None and one.error.code == "chain.reverted"]
        if len(reverted) >= self._need:
            raise reverted[0]

    def _tell(self, what: str, votes: tuple[Vote, ...], value: Any) -> None:
        others = dissent(votes, value)
        if others:
            self._say(Dissent(what, str(value), others))

    def _say(self, found: Dissent) -> None:
        if self._alert is not None:
            self._alert(found)


def _median(values: Sequence[int]) -> int:
    """The middle one, the lower of two: one provider of two cannot raise it."""
    return int(sorted(values)[(len(values) - 1) // 2])
