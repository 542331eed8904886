"""The chain's store: nothing half written, and everything there again after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bursar.nodes.sandbox.ethereum.store import ChainStore


def test_it_behaves_as_a_mapping() -> None:
    store = ChainStore(None)
    store[b"a"] = b"1"
    assert store[b"a"] == b"1"
    assert b"a" in store
    assert b"b" not in store
    store.commit(iter(()))
    store[b"a"] = b"2"
    assert store[b"a"] == b"2"
    del store[b"a"]
    assert b"a" not in store
    with pytest.raises(KeyError):
        store[b"a"]
    store.commit(iter(()))
    assert b"a" not in store
    store.close()


def test_what_was_committed_is_there_again_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    store = ChainStore(path)
    store[b"a"], store[b"b"] = b"1", b"2"
    store.set_setting("chain_id", "5")
    store.commit(iter([b"raw1", b"raw2"]))
    store[b"a"] = b"3"
    store[b"c"] = b"4"
    store.close()
    store = ChainStore(path)
    assert (store[b"a"], store[b"b"]) == (b"1", b"2")
    assert b"c" not in store
    assert store.setting("chain_id") == "5"
    assert store.setting("else") is None
    assert store.waiting() == [b"raw1", b"raw2"]
    store.commit(iter([b"raw2"]))
    assert store.waiting() == [b"raw2"]
    store.close()
