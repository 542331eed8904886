"""What several providers' heads, balances and simulations come to, one block and one number at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bursar.chain.ethereum_reading import Heads, Simulation
from bursar.errors import ChainUnavailableError
from bursar.nodes.ethrpc.votes import Vote, agreed, answers, refuse

if TYPE_CHECKING:
    from bursar.chain.protocols import BlockRef
    from bursar.ethereum.address import Address

Balances = Mapping[tuple["Address", "Address | None"], "int | None"]


def agree_heads(votes: Sequence[Vote], need: int, block_at: Callable[[int], BlockRef | None]) -> Heads:
    """For each mark the highest height that ``need`` providers reach, and the block they agree stands there."""
    heads: list[Heads] = answers(votes, need, "the heads")
    found: dict[str, BlockRef | None] = {}
    for name in ("latest", "safe", "finalized"):
        marks = [getattr(one, name) for one in heads]
        heights = sorted((one.height for one in marks if one is not None), reverse=True)
        if len(heights) < need:
            found[name] = None
            continue
        height = heights[need - 1]
        here = [one for one in marks if one is not None and one.height == height]
        same = len(here) >= need and all(one == here[0] for one in here)
        block = here[0] if same else block_at(height)
        if block is None:
            refuse(votes, f"the providers disagree about the {name} block")
        found[name] = block
    latest = found["latest"]
    assert latest is not None
    return Heads(latest=latest, safe=found["safe"], finalized=found["finalized"])


def agree_offered(votes: Sequence[Vote], need: int, what: str) -> Any:
    """What ``need`` providers say; ``None`` where fewer offer it at all."""
    offered = [one for one in votes if one.error is not None or one.value is not None]
    if sum(one.error is None for one in offered) < need and all(one.error is None for one in offered):
        return None
    return agreed(offered, need, what)


def agree_balances(votes: Sequence[Vote], need: int) -> tuple[BlockRef, Balances] | None:
    """At a block at which ``need`` providers answered, each number that ``need`` of them give; ``None``: no such block.

    A contract that gave no number to some did give it to others: it is ``None`` only where that many say so.
    """
    found: list[tuple[BlockRef, Balances]] = answers(votes, need, "balances")
    blocks = Counter(block for block, _ in found)
    enough = [block for block, count in blocks.items() if count >= need]
    if not enough:
        return None
    block = max(enough, key=lambda one: one.height)
    here = [one for one in votes if one.error is None and one.value[0] == block]
    names = here[0].value[1].keys()
    if any(one.value[1].keys() != names for one in here):
        refuse(here, "the providers answer about different balances")
    decided: dict[tuple[Address, Address | None], int | None] = {}
    for name in names:
        said = [Vote(one.provider, one.value[1][name]) for one in here]
        what = f"the balance of {name[0]}" + ("" if name[1] is None else f" in {name[1]}")
        decided[name] = agreed(said, need, what)
    return block, decided


def agree_simulation(votes: Sequence[Vote], need: int) -> Simulation:
    """A simulation whose outcome and moves ``need`` providers saw; where fewer saw all of it, whether it succeeds."""
    found: list[Simulation] = answers(votes, need, "a simulation")
    whole = [one for one in found if one.complete]
    looked_at, what = (whole, _moves) if len(whole) >= need else (found, _outcome)
    counts = Counter(what(one) for one in looked_at)
    best, count = counts.most_common(1)[0]
    if count < need or sum(other >= need for other in counts.values()) > 1:
        refuse(votes, "the providers disagree about what the transaction would do")
    chosen = next(one for one in looked_at if what(one) == best)
    if looked_at is whole:
        return chosen
    return Simulation(chosen.method, chosen.succeeded, None, (), (), complete=False, reason=chosen.reason)


def _moves(one: Simulation) -> Hashable:
    return (one.succeeded, frozenset(Counter(one.transfers).items()), frozenset(Counter(one.approvals).items()))


def _outcome(one: Simulation) -> Hashable:
    return one.succeeded


def moved() -> ChainUnavailableError:
    """The error for providers that never looked at one block together."""
    return ChainUnavailableError("the providers stand at different blocks: try again", code="chain.moved")
