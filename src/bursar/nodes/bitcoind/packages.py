"""Several transactions at once: asking the mempool what it would say, and sending a child that pays for its parents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from bursar.bitcoin.units import Sats
from bursar.errors import BroadcastRejectedError, ChainError, InvalidInputError
from bursar.nodes import reply as read
from bursar.nodes.bitcoind_rpc import NO_METHOD, Refusal, RpcClient, printable

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction, Txid

MAX_PACKAGE: Final = 25
REJECTED: Final = -26
_LATER: Final = "bad-txns-inputs-missingorspent"  # the parent is at fault
_POOR: Final = ("min relay fee not met", "mempool min fee not met")
KNOWN: Final = ("txn-already-in-mempool", "txn-already-known", "txn-same-nonwitness-data-in-mempool")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a mempool says to a transaction; ``allowed`` is ``None`` when it did not look that far.

    ``reason`` is told of those it refuses, ``vsize`` and ``fee`` of those it would take.
    """

    txid: Txid
    allowed: bool | None
    reason: str | None = None
    vsize: int | None = None
    fee: Sats | None = None


class Packages:
    """``testmempoolaccept`` and ``submitpackage``."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    def test(self, transactions: Sequence[Transaction]) -> tuple[Acceptance, ...]:
        """A verdict on each, parents first; nothing is sent."""
        _check_count(transactions, least=1)
        reply = self._rpc.call("testmempoolaccept", [tx.serialize().hex() for tx in transactions])
        if not isinstance(reply, list) or len(reply) != len(transactions):
            read.nonsense("the verdicts are not as many as the transactions")
        return tuple(_acceptance(tx, item) for tx, item in zip(transactions, reply, strict=True))

    def submit(self, transactions: Sequence[Transaction]) -> tuple[Txid, ...]:
        """Send a child behind its parents, once; ``BroadcastRejectedError`` names the first that is refused."""
        _check_count(transactions, least=2)
        reply = self._rpc.write("submitpackage", [tx.serialize().hex() for tx in transactions])
        if isinstance(reply, Refusal):
            self._refuse(reply)
        results = read.field(reply, "tx-results", dict)
        verdict = printable(read.field(reply, "package_msg", str))
        by_txid = {item.get("txid"): item for item in results.values() if isinstance(item, dict)}
        problems = [
            (tx, printable(by_txid[str(tx.txid)]["error"]))
            for tx in transactions
            if by_txid.get(str(tx.txid), {}).get("error") is not None
        ]
        problems = [(tx, problem) for tx, problem in problems if problem.partition(",")[0] not in KNOWN]
        if problems:
            self._reject(*_culprit(problems))
        if verdict != "success" or len(by_txid) < len(transactions):
            self._reject(transactions[-1], verdict)
        return tuple(tx.txid for tx in transactions)

    def _refuse(self, refusal: Refusal) -> NoReturn:
        if refusal.code == NO_METHOD:
            raise ChainError(f"node {self._rpc.where} takes no packages: it needs Bitcoin Core 28 or newer")
        if refusal.code in (REJECTED, -25):
            raise BroadcastRejectedError(
                f"node {self._rpc.where} refused the package: {refusal.message}",
                node_code=refusal.code,
                reason=refusal.message,
            )
        raise self._rpc.translate("submitpackage", refusal)

    def _reject(self, tx: Transaction, reason: str) -> NoReturn:
        raise BroadcastRejectedError(
            f"node {self._rpc.where} refused transaction {tx.txid} of the package: {reason}",
            node_code=REJECTED,
            reason=reason.partition(",")[0].strip(),
        )


def _culprit(problems: list[tuple[Transaction, str]]) -> tuple[Transaction, str]:
    """Whom to name: each is told what it lacks alone, which counts only if nothing else is wrong."""
    other = [found for found in problems if not found[1].startswith((*_POOR, _LATER))]
    poor = [found for found in problems if found[1].startswith(_POOR)]
    return (other[:1] or poor[-1:] or problems)[0]


def _check_count(transactions: Sequence[Transaction], *, least: int) -> None:
    if not least <= len(transactions) <= MAX_PACKAGE:
        raise InvalidInputError(
            f"a package has {least} to {MAX_PACKAGE} transactions, got {len(transactions)}", code="input.transaction"
        )


def _acceptance(tx: Transaction, item: Any) -> Acceptance:
    if read.txid(read.field(item, "txid", str)) != tx.txid:
        read.nonsense(f"a verdict on {tx.txid} was asked for and another came")
    allowed = item.get("allowed")
    if allowed is True:
        fee = Sats(read.amount(read.field(item, "fees", dict), "base"))
        return Acceptance(tx.txid, True, None, read.number(item, "vsize"), fee)
    reason = item.get("reject-reason", item.get("package-error"))
    if allowed is not None and allowed is not False:
        read.nonsense("a verdict is neither yes nor no")
    return Acceptance(tx.txid, False if reason is not None else allowed, None if reason is None else printable(reason))
