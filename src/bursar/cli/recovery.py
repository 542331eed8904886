"""After a crash: finish or release what an earlier run left, and never what a run beside this one is busy with."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bursar.chain.protocols import BitcoinBackend, EthereumBackend
    from bursar.cli.session import Session
    from bursar.wallet.records import Recovery
    from bursar.wallet.wallet import Wallet

_SAID = {
    "released": "was planned and not signed; what it held is free again",
    "resumable": "waits to be signed; see 'bursar resume' or 'bursar sign', or 'bursar cancel' to give it up",
    "rebroadcast": "was signed and may not have been sent; the same transaction was handed to the node again",
    "rejected": "is signed, and the node refuses it",
    "unknown": "was sent, and the node does not find it; a sync tells what became of it",
}


def recover(session: Session, wallet: Wallet, backend: BitcoinBackend | EthereumBackend) -> None:
    """Recover if no other process of this folder is sending; from then on this process counts as one that is."""
    lock = _lock(session)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_SH)
        return
    for done in wallet.recover(backend):
        if done.id not in session.reported:
            session.reported.add(done.id)
            session.output.aside(f"Transfer {done.id} {_words(done)}.")
    fcntl.flock(lock, fcntl.LOCK_SH)


def _lock(session: Session) -> int:
    """One descriptor for the whole command; the system lets go of it when the process ends, however it ends."""
    if session.transfer_lock is None:
        descriptor = os.open(session.home.folder / "transfers.lock", os.O_RDWR | os.O_CREAT, 0o600)
        session.transfer_lock = descriptor
        click.get_current_context().call_on_close(lambda: os.close(descriptor))
    return session.transfer_lock


def _words(done: Recovery) -> str:
    said = _SAID[done.action]
    return f"{said}: {done.reason}" if done.action == "rejected" and done.reason else said
