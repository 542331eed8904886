"""What to do next where a refusal is nobody's mistake: words for people, after the error or the policy's sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.policy.policy import DEFAULT_DENY
from bursar.policy.verdict import Deny

if TYPE_CHECKING:
    from pathlib import Path

    from bursar.policy.review import Asset, Review
    from bursar.policy.verdict import Verdict

_ALLOWANCE = """\
No rule allows {symbol}: tokens are paid once {policy} names the contract. Whoever answers for
the policy may add, with a limit of their choice in place of 100:

  [[token]]
  symbol = "{symbol}"
  network = "{network}"
  contract = "{contract}"
  decimals = {decimals}

  [[rule]]
  name = "{name}-to-anyone"
  kind = "allow-any"
  asset = "{symbol}"

  [[rule]]
  name = "{name}-per-transfer"
  kind = "limit"
  max = "100 {symbol}"
"""


def after_verdict(verdict: Verdict, review: Review, policy: Path) -> str:
    """A paragraph for whoever wants to pay a token that the policy does not know; else nothing."""
    if not isinstance(verdict, Deny) or verdict.rule != DEFAULT_DENY:
        return ""
    unknown = next((one.asset for one in review.payments if one.asset.contract is not None), None)
    if unknown is None or (unknown.contract or "").lower() in _contracts(policy):
        return ""
    return "\n" + _allowance(unknown, policy)


def _contracts(policy: Path) -> set[str]:
    import tomllib

    tokens = tomllib.loads(policy.read_text(encoding="utf-8")).get("token", [])
    return {str(token.get("contract", "")).lower() for token in tokens}


def _allowance(asset: Asset, policy: Path) -> str:
    return _ALLOWANCE.format(
        symbol=asset.symbol,
        name=asset.symbol.lower(),
        network=asset.network,
        contract=asset.contract,
        decimals=asset.decimals,
        policy=policy,
    )
