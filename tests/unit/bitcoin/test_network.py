"""The five networks."""

from __future__ import annotations

import copy
import pickle

import pytest

from bursar.bitcoin.network import NETWORKS, Network
from bursar.errors import InvalidInputError


def test_networks_are_found_by_name_and_by_core_name() -> None:
    for network in NETWORKS:
        assert Network.from_text(network.name) is network
        assert Network.from_text(network.chain) is network
        assert str(network) == network.name
    assert Network.from_text("test") is Network.TESTNET


def test_only_main_has_valuable_coins() -> None:
    assert [network.testnet for network in NETWORKS] == [False, True, True, True, True]
    assert len({network.genesis_hash for network in NETWORKS}) == 5


def test_copies_are_the_same_object() -> None:
    assert copy.deepcopy(Network.MAIN) is Network.MAIN
    assert pickle.loads(pickle.dumps(Network.SIGNET)) is Network.SIGNET
    assert repr(Network.REGTEST) == "Network.REGTEST"


def test_unknown_network_is_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Network.from_text("litecoin")
    assert caught.value.code == "input.network"
