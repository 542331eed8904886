"""What the demo does and tells: four transfers from plan to confirmation, two refusals, balances before and after."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import TYPE_CHECKING, Any, cast

import click

from bursar.bitcoin.units import Sats
from bursar.cli.demo.house import ETHER, OPERATIONS, RESERVE, SIGNER, House, Silent
from bursar.errors import BursarError, ChainError, InsufficientFundsError, PolicyDeniedError
from bursar.ethereum.units import Wei
from bursar.policy.render import amount_text, review_text
from bursar.wallet.records import TransferState
from bursar.wallet.transfer import PaymentOrder, Transfer

if TYPE_CHECKING:
    from bursar.cli.demo.hardware import HardwareWallet
    from bursar.cli.session import Session
    from bursar.policy.review import Asset
    from bursar.signing.protocols import PsbtSigner
    from bursar.wallet.plan import ApprovedPlan, Plan, SignedTransfer
    from bursar.wallet.records import TransferRecord


@dataclass(frozen=True, slots=True)
class Scene:
    """One transfer of the story."""

    name: str
    title: str
    account: str
    order: PaymentOrder
    device: HardwareWallet | None = None


class Story:
    """Tells to a person unless the output is JSON; ``document`` is what JSON shows."""

    def __init__(self, session: Session, house: House) -> None:
        self._output, self._house = session.output, house
        self.document: dict[str, Any] = {"steps": [], "refused": [], "balances": {}}

    def tell(self) -> None:
        """The whole story."""
        self._chapter("A house of its own", "in a temporary folder that is removed at the end")
        with self._output.progress("starting the chains and making keys"):
            said: list[str] = []
            self._house.build(said.append)
        for line in said:
            self._output.say(f"  {line}")
        self._balances("before")
        scenes = [*self._scenes(), *self._on_devices()]
        for number, scene in enumerate(scenes, 1):
            self._chapter(f"Transfer {number} of {len(scenes)}: {scene.title}")
            self.document["steps"].append(self._carry_out(scene))
        self._chapter("What is refused")
        for scene in self._refusals():
            self.document["refused"].append(self._refused(scene))
        self._balances("after")
        head = self._house.wallet.journal.verify()
        self._output.say(f"\nThe journal has {head.sequence} records, each bound to the one before; none is broken.")

    def _scenes(self) -> list[Scene]:
        house = self._house
        p2tr = house.wallet.new_address(RESERVE).address
        token = house.token
        return [
            Scene(
                "p2wpkh-to-p2tr",
                "bitcoin from a P2WPKH account to a P2TR address, with change",
                OPERATIONS,
                PaymentOrder(p2tr, Sats.from_text("12.5btc"), "BTC"),
            ),
            Scene(
                "p2tr-several-coins",
                "bitcoin from a P2TR account, which takes several coins",
                RESERVE,
                PaymentOrder(house.payee("bitcoin", 1), Sats.from_text("120btc"), "BTC"),
            ),
            Scene(
                "ether-eip1559",
                "ether, by an EIP-1559 transaction",
                ETHER,
                PaymentOrder(house.payee("ethereum", 1), Wei.from_text("1.5eth"), "ETH"),
            ),
            Scene(
                "erc20-token",
                f"{token.symbol}, an ERC-20 token",
                ETHER,
                PaymentOrder(house.payee("ethereum", 2), 250 * 10**token.decimals, token.contract),
            ),
        ]

    def _on_devices(self) -> list[Scene]:
        house = self._house
        scenes = []
        for number, wallet in enumerate(house.hardware, 5):
            title, name = wallet.device.title, wallet.name
            btc = PaymentOrder(house.payee("bitcoin", number), Sats.from_text("12.5btc"), "BTC")
            eth = PaymentOrder(house.payee("ethereum", number), Wei.from_text("1.5eth"), "ETH")
            scenes.append(Scene(f"{name}-bitcoin", f"bitcoin, signed by {title}", name, btc, wallet))
            scenes.append(Scene(f"{name}-ether", f"ether, signed by {title}", f"{name}-{ETHER}", eth, wallet))
        return scenes

    def _refusals(self) -> list[Scene]:
        house = self._house
        return [
            Scene(
                "over-the-limit",
                "20 ether, where the policy allows 10",
                ETHER,
                PaymentOrder(house.payee("ethereum", 3), Wei.from_text("20eth"), "ETH"),
            ),
            Scene(
                "insufficient-funds",
                "500 bitcoin, which the account does not have",
                OPERATIONS,
                PaymentOrder(house.payee("bitcoin", 3), Sats.from_text("500btc"), "BTC"),
            ),
        ]

    def _carry_out(self, scene: Scene) -> dict[str, Any]:
        house, wallet = self._house, self._house.wallet
        backend = house.backend(scene.account)
        plan = self._plan(scene)
        self._review(plan)
        approved = wallet.approve(plan, house.policy)
        self._tick(f"Policy    allowed by the rule “{approved.rule}”")
        signer_name, signed = self._signed(scene, approved)
        self._tick(f"Signed    by {signer_name}; the signature was checked against the plan and stored before sending")
        txid = wallet.send(signed, backend)
        self._tick(f"Sent      {txid}")
        record = self._confirm(scene, plan.id)
        self._tick(f"Confirmed in block {record.height}; fee {amount_text(record.fee or 0, plan.review.fee_asset)}")
        return {
            "name": scene.name,
            "chain": plan.review.chain,
            "signer": signer_name,
            "txid": record.txid,
            "raw": (record.raw or b"").hex(),
            "fee": record.fee,
            "height": record.height,
            "confirmations": record.confirmations,
        }

    def _signed(self, scene: Scene, approved: ApprovedPlan) -> tuple[str, SignedTransfer]:
        house = self._house
        if scene.device is None:
            return SIGNER, house.wallet.sign(approved, signer=house.signer, policy=house.policy)
        chain = "ethereum" if house.is_ethereum(scene.account) else "bitcoin"
        with scene.device.open(house.known, Silent(), chain) as (name, signer):
            scene.device.device.shown()
            signed = house.wallet.sign(approved, signer=cast("PsbtSigner", signer), policy=house.policy)
        for page in scene.device.device.shown():
            words = ": ".join(part for part in (page.title, " ".join(page.lines)) if part)
            self._output.say(f"  {click.style('▏ on its screen', dim=True)}  {words}")
        return name, signed

    def _plan(self, scene: Scene) -> Plan:
        transfer = Transfer(account=scene.account, payments=(scene.order,))
        return self._house.wallet.plan(transfer, self._house.backend(scene.account))

    def _confirm(self, scene: Scene, transfer_id: str) -> TransferRecord:
        self._house.mine(scene.account)
        self._house.synchronise()
        record = self._house.wallet.transfer(transfer_id)
        if record.state is not TransferState.CONFIRMED:
            raise ChainError(f"{scene.name} is {record.state} after its block: {record.reason or 'no reason given'}")
        return record

    def _refused(self, scene: Scene) -> dict[str, Any]:
        self._output.say(f"  {scene.title}")
        try:
            plan = self._plan(scene)
            self._house.wallet.approve(plan, self._house.policy)
        except PolicyDeniedError as error:
            refusal: BursarError = error
            words = error.message
        except InsufficientFundsError as error:
            refusal = error
            needed, available = (amount_text(figure, self._coin(scene)) for figure in (error.needed, error.available))
            words = f"{needed} would be needed with the fee, {available} may be spent"
        else:
            raise BursarError(f"{scene.name} was allowed, which must not happen")
        self._output.say(f"  {click.style('✗', fg='yellow')} {words} ({refusal.code})\n")
        return {"name": scene.name, "code": refusal.code, "message": refusal.message}

    def _coin(self, scene: Scene) -> Asset:
        return self._house.wallet.asset(scene.account, scene.order.asset)

    def _balances(self, when: str) -> None:
        wallet = self._house.wallet
        held = {record.name: wallet.balance(record.name) for record in wallet.accounts()}
        self.document["balances"][when] = {
            name: {item.asset.symbol: item.confirmed for item in items} for name, items in held.items()
        }
        if self._output.json:
            return
        self._chapter(f"Balances {when}")
        rows = [
            (name, amount_text(item.confirmed, item.asset), amount_text(item.spendable, item.asset))
            for name, items in held.items()
            for item in items
        ]
        self._output.table(("account", "confirmed", "spendable"), rows, numbers=("confirmed", "spendable"))

    def _review(self, plan: Plan) -> None:
        self._output.say(indent(review_text(plan.review), "  "))

    def _tick(self, text: str) -> None:
        self._output.say(f"  {click.style('✓', fg='green')} {text}")

    def _chapter(self, title: str, more: str = "") -> None:
        self._output.say(f"\n{click.style(title, bold=True)}" + (f", {more}" if more else ""))
