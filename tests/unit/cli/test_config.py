"""The settings file: strict, and what ``init`` writes reads back."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.network import Network
from bursar.cli import config
from bursar.errors import InvalidInputError

GOOD = """
network = "signet"
chain_id = 5
[bitcoin.signet]
url = "http://127.0.0.1:38332"
cookie = "~/.bitcoin/signet/.cookie"
[bitcoin.main]
url = "https://node.example"
user = "bursar"
password = "hush"
[ethereum.1]
url = "http://127.0.0.1:8545"
"""


def read(folder: Path, text: str) -> config.Config:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return config.read(path)


def test_reads_everything(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert (found.network, found.chain_id) == (Network.SIGNET, 5)
    assert found.bitcoin[Network.SIGNET].cookie == Path("~/.bitcoin/signet/.cookie").expanduser()
    assert found.bitcoin[Network.MAIN].user == "bursar"
    assert [one.url for one in found.ethereum[1].providers] == ["http://127.0.0.1:8545"]
    assert "hush" not in repr(found)


def test_kinds_of_sources(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """network = "main"\nchain_id = 1
        [bitcoin.main]\nurl = "ssl://electrum.example:50002"\ncertificate = "first-use"\nproxy = "socks5://127.0.0.1:9050"
        [bitcoin.signet]\nurl = "https://esplora.example/api"\nkind = "esplora"
        [bitcoin.regtest]\nurl = "tcp://127.0.0.1:50001"
        [bitcoin.testnet]\nurl = "https://node.example"\ncookie = "c"\ncertificate = "00" """,
    ).bitcoin
    assert found[Network.MAIN].kind == found[Network.REGTEST].kind == "electrum"
    assert (found[Network.MAIN].certificate, found[Network.MAIN].proxy) == ("first-use", "socks5://127.0.0.1:9050")
    assert (found[Network.SIGNET].kind, found[Network.TESTNET].kind) == ("esplora", "bitcoind")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('url = "ftp://x"', "must begin with http:// or https://"),
        ('url = "http://x"\nkind = "electrum"', "must begin with ssl:// or tcp://"),
        ('url = "ssl://x:1"\nkind = "esplora"', "must begin with http:// or https://"),
        ('url = "http://x"\nkind = "btcd"', "is none of bitcoind, electrum, esplora"),
        ('url = "ssl://x:1"\ncookie = "c"', "takes no cookie"),
        ('url = "tcp://x:1"\ncertificate = "first-use"', "encrypted connection"),
        ('url = "https://x"\nproxy = "socks5://x:1"', "Electrum protocol only"),
    ],
)
def test_sources_that_do_not_fit_together(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        read(tmp_path, f'network = "main"\nchain_id = 1\n[bitcoin.main]\n{table}\n')


def test_what_init_writes_reads_back(tmp_path: Path) -> None:
    found = read(tmp_path, config.render(network=Network.REGTEST, chain_id=31337))
    assert (found.network, found.chain_id, found.bitcoin, found.ethereum) == (Network.REGTEST, 31337, {}, {})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("network = ", "Invalid"),
        ("chain_id = 1", "network is missing"),
        ('network = "moon"\nchain_id = 1', r"config\.toml: network 'moon' is unknown"),
        ('network = "main"\nchain_id = 0', "chain_id must be a whole number"),
        ('network = "main"\nchain_id = true', "chain_id must be a whole number"),
        ('network = "main"\nchain_id = 1\nnetwrok = "x"', "unknown: netwrok"),
        ('network = "main"\nchain_id = 1\nbitcoin = 3', "must hold tables"),
        ('network = "main"\nchain_id = 1\n[bitcoin.main]\nurl = "127.0.0.1"', "http://"),
        ('network = "main"\nchain_id = 1\n[bitcoin.main]\nurl = "http://a"\nuser = "b"', "cookie"),
        (
            'network = "main"\nchain_id = 1\n[bitcoin.main]\nurl = "http://a"\nport = 1',
            r"\[bitcoin.main\]: unknown: port",
        ),
        ('network = "main"\nchain_id = 1\n[ethereum.one]\nurl = "http://a"', "as a number"),
        ('network = "main"\nchain_id = 1\n[ethereum.1]\nurl = 5', "text in quotes"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, wrong: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as caught:
        read(tmp_path, wrong)
    assert caught.value.code in ("input.config", "input.network")


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError):
        config.read(tmp_path / "config.toml")


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-text"
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(InvalidInputError):
        read(folder, text.encode("utf-8", "ignore").decode())


def test_more_sources_of_fee_rates(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """network = "main"\nchain_id = 1
        [bitcoin.main]\nurl = "http://127.0.0.1:8332"
        [[bitcoin.main.fees]]\nurl = "https://esplora.example/api"\nkind = "esplora"
        [[bitcoin.main.fees]]\nrate = "12.5sat/vb" """,
    ).bitcoin[Network.MAIN]
    assert [getattr(one, "url", str(one)) for one in found.fees] == ["https://esplora.example/api", "12.5 sat/vB"]
    for wrong in (
        "fees = 5",
        '[[bitcoin.main.fees]]\nrate = "12"',
        '[[bitcoin.main.fees]]\nrate = "1sat/vb"\nurl = "x"',
    ):
        with pytest.raises(InvalidInputError, match=r"\[bitcoin.main"):
            read(tmp_path, f'network = "main"\nchain_id = 1\n[bitcoin.main]\nurl = "http://x"\n{wrong}\n')


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "url is missing"),
        ("quorum = 0", "above zero"),
        ('url = "https://a"\nquorum = 2', "more than the 1 providers"),
        ('[[ethereum.1.providers]]\nurl = "https://a/1"\n[[ethereum.1.providers]]\nurl = "https://a/2"', "same name"),
        (
            '[[ethereum.1.providers]]\nurl = "https://a"\nname = "x"\n[[ethereum.1.providers]]\nurl = "https://a"',
            "same url",
        ),
        ('[[ethereum.1.providers]]\nurl = "https://a"\nname = "a\\u0007"', "printable"),
        ('[[ethereum.1.providers]]\nname = "a"', "url is missing"),
        ('url = "https://a"\n[[ethereum.1.providers]]\nurl = "https://b"', "unknown: url"),
    ],
)
def test_providers_that_do_not_fit_together(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        read(tmp_path, f'network = "main"\nchain_id = 1\n[ethereum.1]\n{table}\n')
