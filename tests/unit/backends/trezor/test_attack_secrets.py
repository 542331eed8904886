"""What was typed never comes out again: not in errors, tracebacks, logs or on a terminal, wherever a cable breaks."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bursar_devices.trezor")

from bursar_devices.humans import approve
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import TrezorSimulator

from bursar.backends.trezor import TrezorBackend, vendor
from bursar.backends.trezor.conversation import Patience
from bursar.keys.path import DerivationPath
from bursar.signing.protocols import SignerInfo

PIN, PASSPHRASE, WORDS = "135792468", "correct-horse-battery", "all all all"
PATIENCE = Patience(device=0.3, human=0.6, whole=20)


class Breaking:
    """A transport whose packet number ``at`` ends in ``error``."""

    def __init__(self, inner: Any, at: int, error: BaseException) -> None:
        self._inner, self._left, self._error = inner, at, error
        self.CHUNK_SIZE = inner.CHUNK_SIZE

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write_chunk(self, chunk: bytes) -> None:
        self._count()
        self._inner.write_chunk(chunk)

    def read_chunk(self, *, timeout: float | None = None) -> bytes:
        self._count()
        return bytes(self._inner.read_chunk(timeout=timeout))

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise self._error


def positions(simulator: TrezorSimulator) -> str:
    return "".join(str(simulator.board.matrix.index(digit) + 1) for digit in PIN)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("pulled"), ValueError("a bug")], ids=repr)
def test_secrets_stay_in(
    error: BaseException,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(1)
    connect = vendor.udp
    said: list[str] = []
    with TrezorSimulator(model="T1B1", pin=PIN, passphrase_protection=True, human=approve()) as simulator:
        for at in range(12, 42, 3):
            monkeypatch.setattr(vendor, "udp", lambda host, port, at=at: Breaking(connect(host, port), at, error))
            prompt = BenchPrompt({"pin": lambda _: positions(simulator), "passphrase": PASSPHRASE})
            backend = TrezorBackend(locks=tmp_path, patience=PATIENCE)
            info = SignerInfo("trezor", simulator.location, "Trezor")
            try:
                with backend.open(info, prompt) as signer:
                    said += [repr(signer), repr(signer.info)]
                    signer.xpub(DerivationPath.from_text("m/84h/0h/0h"))
            except BaseException as caught:  # noqa: BLE001 (an interrupt is one of them)
                said += ["".join(traceback.format_exception(caught)), repr(caught), str(vars(caught))]
    printed = capfd.readouterr()
    everything = "\n".join([*said, caplog.text, printed.out, printed.err])
    assert "Traceback" in everything
    for secret in (PASSPHRASE, WORDS, PIN):
        assert secret not in everything
