"""``bursar policy``: check the policy file, and ask what it would say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.session import Session
    from bursar.policy.review import Asset, Payment, Review


@group(
    "policy",
    examples=("bursar policy check", "bursar policy explain savings bc1q… 3btc"),
)
def policy() -> None:
    """Who may be paid how much. What no rule allows is refused."""


@policy.command("check", examples=("bursar policy check", "bursar policy check draft.toml --json"))
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@pass_session
def check(session: Session, file: str | None) -> None:
    """Read FILE (default: the wallet's policy.toml) and list its rules; the first mistake is named with its place."""
    from bursar.policy.policy import RulePolicy

    rules = RulePolicy.from_toml(Path(file).read_text(encoding="utf-8")) if file else compose.policy(session)
    document = {
        "file": file or str(session.home.policy),
        "digest": rules.digest(),
        "rules": [{"name": rule.name, "kind": rule.kind} for rule in rules.rules],
    }

    def words() -> None:
        session.output.table(("rule", "kind"), [(rule.name, rule.kind) for rule in rules.rules])
        click.echo(f"\nNo mistake in {document['file']}\nDigest {document['digest']}")

    session.output.answer(document, words)


@policy.command(
    "explain",
    examples=("bursar policy explain savings bc1q… 3btc", "bursar policy explain gas pay.example.eth 12.5usdc --json"),
)
@click.argument("account", shell_complete=account_names)
@click.argument("payees", nargs=-1, required=True, metavar="ADDRESS|NAME AMOUNT|URI...")
@pass_session
def explain(session: Session, account: str, payees: Sequence[str]) -> None:
    """Say in one sentence what the policy would answer if ACCOUNT paid ADDRESS the AMOUNT now.

    The fee is taken as zero, and no node is asked, but for what a name (ENS) stands for: 'bursar send --dry-run' does
    both.
    """
    from bursar.cli.advice import after_verdict
    from bursar.cli.ethereum_sending import wanted
    from bursar.policy.review import Payment
    from bursar.policy.verdict import Allow, Deny

    wallet = compose.wallet(session)
    record = wallet.account(account)
    asked = wanted(session, wallet, record, payees)
    if asked.action is not None:
        raise InvalidInputError(
            "the URI asks for a call, whose effects only a plan tells: bursar send --dry-run", code="input.usage"
        )
    payments = tuple(Payment(wallet.asset(account, order.asset), order.to, order.amount) for order in asked.payments)
    coin = wallet.asset(account, compose.coin(session, record))
    review = _review(account, coin, payments)
    rules, past = compose.policy(session), wallet.policy_history()
    sentence = rules.explain(review, past)
    verdict = rules.decide(review, past)
    word = "allow" if isinstance(verdict, Allow) else "deny" if isinstance(verdict, Deny) else "need-approval"
    advice = after_verdict(verdict, review, session.home.policy, past)
    document = {"verdict": word, "rule": verdict.rule, "explanation": sentence}
    session.output.answer(document, lambda: click.echo(f"{sentence}\n{advice}".rstrip()))


def _review(account: str, coin: Asset, payments: tuple[Payment, ...]) -> Review:
    from bursar.policy.review import Review

    return Review(
        chain=coin.chain,
        network=coin.network,
        account=account,
        payments=payments,
        change=(),
        fee=0,
        max_fee=0,
        fee_asset=coin,
        fee_rate="0 sat/vB" if coin.chain == "bitcoin" else "0 gwei",
    )
