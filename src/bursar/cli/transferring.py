"""From a plan to a sent transfer: review, question, policy, signature, broadcast; what ``send`` and ``bump`` share."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import click

from bursar.cli import compose
from bursar.cli.advice import after_verdict
from bursar.cli.cosigning import answer_progress, collect, needs_several
from bursar.cli.prompts import signer_options
from bursar.errors import ConflictError, InvalidInputError, UserCancelledError
from bursar.policy.render import review_text
from bursar.policy.verdict import Allow, require_allowed
from bursar.signing.protocols import AddressDisplay
from bursar.wallet.records import TransferState

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from bursar.chain.protocols import BitcoinBackend, EthereumBackend
    from bursar.cli.clear_words import ClearWords
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.policy.policy import RulePolicy
    from bursar.wallet.plan import Plan, SignedTransfer, SigningProgress
    from bursar.wallet.records import AccountRecord, TransferRecord
    from bursar.wallet.transfer import Transfer
    from bursar.wallet.wallet import Wallet

UNSIGNED = (TransferState.PLANNED, TransferState.APPROVED)
_LEAST_TEXT = 4
_OVER = (TransferState.DENIED, TransferState.CANCELLED, TransferState.FAILED, TransferState.SUPERSEDED)


def fee_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--speed``, ``--fee-rate``, ``--max-fee``."""
    for option in (
        click.option("--max-fee", metavar="AMOUNT", help="Refuse a fee that could exceed this: 5000sat, 0.001eth."),
        click.option("--fee-rate", metavar="RATE", help="Pay this, not an estimate: 12.5sat/vb, 30gwei:2gwei."),
        click.option(
            "--speed", type=click.Choice(["slow", "normal", "fast"]), help="Estimate to use.  [default: normal]"
        ),
    ):
        function = option(function)
    return function


def sending_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--yes``, ``--idempotency-key`` and how the signer is unlocked."""
    for option in (
        click.option("--idempotency-key", metavar="KEY", help="Same key, same transfer: safe to run again."),
        click.option("--yes", is_flag=True, help="Do not ask; the policy still decides."),
    ):
        function = option(function)
    return signer_options(function)


class Sending:
    """One transfer on its way. As a context it releases, on any failure before a signature, what was reserved."""

    def __init__(
        self,
        session: Session,
        wallet: Wallet,
        record: AccountRecord,
        *,
        unlock: Unlock,
        yes: bool,
        key: str | None,
    ) -> None:
        self._session, self._wallet, self._record = session, wallet, record
        self._unlock, self._yes, self._key = unlock, yes, key
        self._stack = ExitStack()
        self._signer: Any = None
        self._plan: Plan | None = None
        self._clear: ClearWords | None = None
        self.progress: SigningProgress | None = None

    def __enter__(self) -> Sending:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is not None and self._plan is not None and self._key is None:
                with suppress(ConflictError):  # a signature may exist: recovery decides, not we
                    self._release("interrupted before it was signed")

    def holding(self, plan: Plan) -> None:
        """Release what ``plan`` reserved if this does not go on."""
        self._plan = plan

    def signer(self) -> Any:
        """The account's one signer, opened at most once."""
        if self._signer is None:
            opening = compose.signer(self._session, self._unlock, self._record.signer)
            _name, self._signer = self._stack.enter_context(opening)
        return self._signer

    def carry_out(self, plan: Plan, backend: BitcoinBackend | EthereumBackend) -> TransferRecord:
        """Take ``plan`` from wherever it stands to the node; where several sign, as far as the first signature."""
        self._plan = plan
        state = self._wallet.transfer(plan.id).state
        if state in _OVER:
            record = self._wallet.transfer(plan.id)
            raise ConflictError(
                f"this transfer is {state} ({record.reason or 'no reason kept'}): send anew, with another key if any"
            )
        signed: SignedTransfer | None
        if state in UNSIGNED and needs_several(self._record):
            signed = self._collect(plan, state)
        elif state in UNSIGNED:
            signed = self._sign(plan, state)
        else:
            signed = self._wallet.signed_of(plan.id)
        if signed is not None and state in (*UNSIGNED, TransferState.SIGNED, TransferState.SENT):
            with self._session.output.progress("handing the transaction to the node"):
                self._wallet.send(signed, backend)
        return self._wallet.transfer(plan.id)

    def _sign(self, plan: Plan, state: TransferState) -> SignedTransfer:
        rules = compose.policy(self._session)
        if state is TransferState.PLANNED:
            self._review(plan, rules)
        signer = self.signer()
        approved = self._wallet.approval_of(plan.id) or self._wallet.approve(plan, rules)
        if isinstance(signer, AddressDisplay) and _is_regtest(self._record):
            self._session.output.aside("The device knows no regtest: it writes the same addresses as tb1….")
        with self._session.output.progress("signing"):
            return self._wallet.sign(approved, signer=signer, policy=rules)

    def _collect(self, plan: Plan, state: TransferState) -> SignedTransfer | None:
        """Approved first: it then waits for its signers, whatever happens here."""
        rules = compose.policy(self._session)
        if state is TransferState.PLANNED:
            self._review(plan, rules)
            self._wallet.approve(plan, rules)
        self._plan = None
        self.progress = collect(self._session, self._wallet, plan.id, unlock=self._unlock, policy=rules)
        return self.progress.signed

    def _review(self, plan: Plan, rules: RulePolicy) -> None:
        """Show it, let the policy refuse it before anybody is bothered, and ask."""
        past = self._wallet.policy_history()
        verdict = rules.decide(plan.review, past)
        text = f"{review_text(plan.review)}{self._words(plan).text}\n{rules.explain(plan.review, past)}\n"
        text += after_verdict(verdict, plan.review, self._session.home.policy, past)
        if self._yes:
            self._session.output.say(text)
        else:
            try:
                self._session.human.tell(text)
            except InvalidInputError as error:
                raise InvalidInputError(
                    "no terminal to show the review on and to ask: with --yes nobody is asked and the policy decides",
                    code=error.code,
                ) from error
        if not isinstance(verdict, Allow):
            self._wallet.approve(plan, rules)  # records the refusal, and raises
        elif not self._yes and self._session.human.ask(self._question()).strip().lower() not in ("y", "yes"):
            self._release("not confirmed")
            raise UserCancelledError("not confirmed: nothing was signed, what was reserved is free again")

    def _question(self) -> str:
        return "Approve it for signing? [y/N]" if needs_several(self._record) else "Sign and send it? [y/N]"

    def finish(self, plan: Plan, backend: BitcoinBackend | EthereumBackend) -> None:
        """``carry_out``, and tell what became of it."""
        record = self.carry_out(plan, backend)
        if self.progress is not None and not self.progress.complete:
            answer_progress(self._session, record, self.progress)
        else:
            answer(self._session, plan, record, clear=self._words(plan))

    def _words(self, plan: Plan) -> ClearWords:
        """What descriptors say of it, looked up once."""
        from bursar.cli.clear_words import words_of_plan

        if self._clear is None:
            self._clear = words_of_plan(self._session, self._wallet, plan)
        return self._clear

    def _release(self, reason: str) -> None:
        assert self._plan is not None
        if self._wallet.transfer(self._plan.id).state in UNSIGNED:
            self._wallet.cancel(self._plan.id, reason=reason)


def show_dry_run(
    session: Session, wallet: Wallet, transfer: Transfer, backend: BitcoinBackend | EthereumBackend
) -> None:
    """The review of a transfer and what the policy says of it; nothing is reserved, and a refusal is raised."""
    from bursar.cli.clear_words import words_of_plan
    from bursar.wallet.review_json import review_to_json

    rules = compose.policy(session)
    plan = wallet.plan(transfer, backend, dry_run=True)
    review, clear = plan.review, words_of_plan(session, wallet, plan)
    past = wallet.policy_history()
    explanation = rules.explain(review, past)
    verdict = rules.decide(review, past)
    session.output.say(f"{review_text(review)}{clear.text}\n{explanation}")
    session.output.say(after_verdict(verdict, review, session.home.policy, past))
    require_allowed(verdict)
    document = {
        "dry_run": True,
        "review": review_to_json(review),
        **_clear_signing(review.chain, clear),
        "explanation": explanation,
    }
    session.output.answer(document, lambda: click.echo("Dry run: nothing was reserved, signed or sent."))


def find_transfer(wallet: Wallet, text: str) -> TransferRecord:
    """By id or transaction id; the beginning is enough where it is unique and at least four characters long."""
    if len(text) >= _LEAST_TEXT:
        found = [made for made in wallet.transfers() if made.id.startswith(text) or (made.txid or "").startswith(text)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidInputError(f"{text!r} begins several transfers: write more of it", code="input.transfer")
    raise InvalidInputError(f"no transfer {text!r}: see 'bursar history --transfers'", code="input.transfer")


def answer(session: Session, plan: Plan, record: TransferRecord, *, clear: ClearWords | None = None) -> None:
    """What became of it."""
    from bursar.cli.words import fate
    from bursar.wallet.review_json import review_to_json

    def words() -> None:
        click.echo(f"Transaction {record.txid}")
        click.echo(f"Transfer    {record.id}, {fate(record)}")

    document = {"transfer": record.to_json(), "review": review_to_json(plan.review)}
    session.output.answer({**document, **_clear_signing(plan.review.chain, clear)}, words)


def _clear_signing(chain: str, clear: ClearWords | None) -> dict[str, Any]:
    return {"clear_signing": clear.to_json()} if clear is not None and chain == "ethereum" else {}


def _is_regtest(record: AccountRecord) -> bool:
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.network import Network

    account = record.account
    return isinstance(account, BitcoinAccount) and account.network is Network.REGTEST
