"""The cable pulled out at any moment: no half-signed result, no hang, and the next opening works."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from bursar_devices.faults import Cable, Faults, cable
from bursar_devices.humans import approve
from bursar_devices.prompting import BenchPrompt
from hil_faces import account_of

from bursar.bitcoin.finalize import extract, finalize
from bursar.errors import BursarError, SignerError, SignerUnavailableError
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_signatures
from bursar.signing.conformance.questions import Spend, question
from bursar.signing.protocols import SignerInfo
from bursar.signing.registry import Registry

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

ROUNDS, PARTS = 100, 5
"""On each device; with the two simulators of the default run that makes two hundred."""
LONGEST = 3.0
"""Seconds until a caller has control again, whatever happened to the cable."""

pytestmark = pytest.mark.needs("bitcoin", "p2wpkh")


SHORT = 0.1


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Every wait ends early: where a packet is lost nobody says so. Signers opened meanwhile stay impatient."""
    from bursar.backends.ledger.link import Link
    from bursar.backends.trezor.wire import Wire

    allow, exchange = Wire.allow, Link.exchange
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "allow", lambda self, seconds: allow(self, min(seconds, SHORT)))
        patch.setattr(
            Link,
            "exchange",
            lambda self, command, *, deadline: exchange(
                self, command, deadline=min(deadline, time.monotonic() + SHORT)
            ),
        )
        yield


@pytest.fixture
def link(bench_device: Any) -> Iterator[Cable]:
    bench_device.human = approve()
    with cable(bench_device.location) as plugged:
        yield plugged


def opened(family: str, link: Cable) -> Any:
    """As the registry does for ``family:location``, less the look around before."""
    return Registry.installed().backend(family).open(SignerInfo(family, link.location, "any"), BenchPrompt())


def signed_by(signer: Any, asked: Psbt, account: Any) -> Psbt:
    """A signature; a signer that was interrupted answers nothing more."""
    try:
        return request_signatures(signer, asked, account=account)
    except SignerError:
        with pytest.raises(SignerUnavailableError):
            signer.xpub(DerivationPath.from_text("m/84h/1h/7h"))
        raise


def signed_once(family: str, link: Cable, asked: Psbt, account: Any) -> Psbt:
    """Open, sign, close."""
    with contextlib.closing(opened(family, link)) as signer:
        return signed_by(signer, asked, account)


@pytest.mark.parametrize("part", range(PARTS))
def test_pulled_out_at_random(bench_device: Any, link: Cable, sandbox: Any, part: int) -> None:
    """While it signs, and in every fourth round while it is opened."""
    family = bench_device.family
    chance = random.Random(f"{family} {part}")  # the seed of everything that happens here
    signer = opened(family, link)
    to_open = link.frames
    account = account_of(signer, "p2wpkh", 0, sandbox)
    asked = question([Spend(account, 0, 0), Spend(account, 1, 1)], change=account)
    before = asked.serialize()
    link.arm(Faults())
    complete = request_signatures(signer, asked, account=account)
    to_sign = link.frames
    interrupted = 0
    for number in range(ROUNDS // PARTS):
        opening = number % 4 == 0
        faults = Faults(disconnect_at=chance.randint(1, to_open + 2 if opening else to_sign))
        began = time.monotonic()
        try:
            with impatient():
                if opening:
                    signer.close()
                    link.plug(faults)
                    answer = signed_once(family, link, asked, account)
                else:
                    link.arm(faults)
                    answer = signed_by(signer, asked, account)
        except SignerError:
            interrupted += 1
        else:
            assert extract(finalize(answer)).txid == asked.tx.txid
        assert time.monotonic() - began < LONGEST
        assert asked.serialize() == before, "the question itself was signed"
        signer.close()
        link.plug(Faults())
        signer = opened(family, link)
        assert signer.xpub(account.origin.path) == account.xpub, "an old reply"
    assert interrupted > ROUNDS // PARTS // 2
    last = request_signatures(signer, asked, account=account)
    signer.close()
    assert last.inputs[0].partial_sigs == complete.inputs[0].partial_sigs


FLAKY = {
    "delays": Faults(seed=1, delay=0.01),
    "short reads": Faults(seed=2, short_reads=True),
}


@pytest.mark.parametrize("name", FLAKY)
def test_a_slow_cable_is_no_reason_to_fail(bench_device: Any, link: Cable, sandbox: Any, name: str) -> None:
    link.plug(FLAKY[name])
    with contextlib.closing(opened(bench_device.family, link)) as signer:
        account = account_of(signer, "p2wpkh", 0, sandbox)
        asked = question([Spend(account)], change=account)
        assert request_signatures(signer, asked, account=account).inputs[0].partial_sigs


LOSSY = {
    "lost frames": {"drop": 0.08},
    "doubled frames": {"duplicate": 0.15},
    "overtaken frames": {"reorder": 0.15},
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_cable_that_garbles_never_yields_a_wrong_answer(
    bench_device: Any, link: Cable, sandbox: Any, name: str
) -> None:
    """Whatever arrives: a complete answer to this question, or a typed error; and a sound cable cures it."""
    with contextlib.closing(opened(bench_device.family, link)) as signer:
        account = account_of(signer, "p2wpkh", 0, sandbox)
    for seed in range(4):
        link.plug(Faults(seed=seed, **LOSSY[name]))
        began = time.monotonic()
        asked = question([Spend(account, 0, seed)], change=account, salt=seed)
        with contextlib.suppress(BursarError), impatient():
            answer = signed_once(bench_device.family, link, asked, account)
            assert extract(finalize(answer)).txid == asked.tx.txid
        assert time.monotonic() - began < 2 * LONGEST
        link.plug(Faults())
        with contextlib.closing(opened(bench_device.family, link)) as again:
            assert again.xpub(account.origin.path) == account.xpub
