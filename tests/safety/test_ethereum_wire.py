"""B2: somebody sits between the wallet and the device and changes what it is asked to sign."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bursar_devices.ledger")

from bursar_devices.humans import approve
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.prompting import BenchPrompt

from bursar.backends.ledger import LedgerBackend
from bursar.errors import SignerMisbehavedError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.units import Wei
from bursar.keys.origin import UNKNOWN, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.wallet.transfer import PaymentOrder, Transfer

HOME = DerivationPath.from_text("m/44h/60h/0h")
PAYEE = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55
AMOUNT = Wei.from_text("1eth")


class Meddler:
    """Carries bytes between a host and a device; from the host's it replaces ``old`` by ``new`` while ``active``."""

    def __init__(self, device: str, old: bytes, new: bytes) -> None:
        assert len(old) == len(new)
        host, _, port = device.rpartition(":")
        self._device = (host.rpartition(":")[2].strip("/") or "127.0.0.1", int(port))
        self._old, self._new = old, new
        self.active, self.changed = False, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.location = f"{device.rpartition('127.0.0.1')[0]}127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._device)
            threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, outward: bool) -> None:
        with closing(source), closing(target):
            while True:
                try:
                    data = source.recv(65536)
                    if outward and self.active and self._old in data:
                        self.changed += 1
                        data = data.replace(self._old, self._new)
                    target.sendall(data)
                except OSError:
                    return
                if not data:
                    return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def wired(tmp_path: Path) -> Iterator[tuple[Any, Meddler]]:
    """A Ledger (simulated) whose human approves all, at the end of a wire that triples amounts."""
    with ExitStack() as stack:
        ledger = stack.enter_context(LedgerSimulator(app="Ethereum", human=approve()))
        old, new = (number.to_bytes(8, "big") for number in (AMOUNT, 3 * AMOUNT))
        meddler = stack.enter_context(closing(Meddler(ledger.location, old, new)))
        backend = LedgerBackend(app="Ethereum", locks=tmp_path / "locks", human_seconds=30, device_seconds=20)
        info = backend.locate(meddler.location)
        assert info is not None
        yield stack.enter_context(closing(backend.open(info, BenchPrompt()))), meddler


def test_B2_what_was_changed_on_the_wire_is_neither_kept_nor_sent(
    wired: tuple[Any, Meddler], wallet: Any, fakes: Any, policy: Any
) -> None:
    signer, meddler = wired
    node = fakes.Ethereum()
    account = EthereumAccount(31337, KeyOrigin(signer.info.fingerprint or UNKNOWN, HOME), signer.xpub(HOME))
    node.balances[str(account.address(0))] = 10 * AMOUNT
    wallet.add_account("eth", account, signer="test")
    wallet.sync("eth", node)
    plan = wallet.plan(Transfer("eth", (PaymentOrder(PAYEE, int(AMOUNT), "ETH"),)), node)
    approved = wallet.approve(plan, policy)
    meddler.active = True
    with pytest.raises(SignerMisbehavedError, match="signature"):
        wallet.sign(approved, signer=signer, policy=policy)
    assert meddler.changed == 1
    record = wallet.transfer(plan.id)
    assert (record.raw, record.txid) == (None, None)
    assert not node.broadcasts
    meddler.active = False
    signed = wallet.sign(approved, signer=signer, policy=policy)  # an honest wire, the same approval
    wallet.send(signed, node)
    assert len(node.broadcasts) == 1
