"""Policy text: strict, and every error says where."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.policy.policy import DEFAULT_POLICY_TOML, RulePolicy
from bursar.policy.toml_text import read_policy

TOKEN = """
[[token]]
symbol = "TUSD"
network = "eip155:1"
contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
decimals = 6
"""


def rule(lines: str, *, before: str = "") -> str:
    return f'version = 1\n{before}[[rule]]\nname = "r"\n{lines}\n'


def test_the_default_policy_reads() -> None:
    names = [rule.name for rule in RulePolicy.from_toml(DEFAULT_POLICY_TOML).rules]
    assert names[:2] == ["bitcoin-to-anyone", "ether-to-anyone"]
    assert len(names) == len(set(names)) == 8


@pytest.mark.parametrize(
    "lines",
    [
        'kind = "allow-any"',
        'kind = "allow-any"\nchain = "bitcoin"\nnetwork = "main"\naccount = "a"\nasset = "BTC"',
        'kind = "allow-any"\nasset = "TUSD"',
        'kind = "allow-list"\naddresses = ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]',
        'kind = "allow-list"\naddresses = ["BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"]\nnetwork = "main"',
        'kind = "allow-calls"\ncontracts = ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]',
        'kind = "deny-any"\nnetwork = "eip155:5"',
        'kind = "deny-list"\naddresses = ["1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"]',
        'kind = "limit"\nmax = "1000 TUSD"\nnetwork = "eip155:1"',
        'kind = "rolling-limit"\nmax = "1btc"\nwindow = "24h"',
        'kind = "fee-cap"\nmax = "0.1btc"\npercent = "5%"\nrate = "100sat/vb"',
        'kind = "approval"\nquorum = 2',
        'kind = "approval"\nquorum = 2\nabove = "1eth"',
    ],
)
def test_every_kind_reads(lines: str) -> None:
    assert len(read_policy(rule(lines, before=TOKEN)).rules) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version = 1\n[[rule]\n", "no valid TOML.*line 2"),
        ("", 'policy: key "version" is missing'),
        ("version = 2", "reads version 1"),
        ("version = true", "reads version 1"),
        ("version = 1\nrules = []", "unknown key 'rules': did you mean \"rule\""),
        ("version = 1\nrule = 3", r"under a line \[\[rule\]\]"),
        ('version = 1\n[rule]\nname = "r"', r"under a line \[\[rule\]\]"),
        (rule('kind = "alow-any"'), 'rule 1 "r": key "kind": unknown kind \'alow-any\': did you mean "allow-any"'),
        (rule(""), 'rule 1 "r": key "kind" is missing'),
        (rule('kind = "allow-any"\nwindw = "1h"'), "rule 1 \"r\": unknown key 'windw'"),
        (rule('kind = "limit"\nmax = "1btc"\nasset = "BTC"'), "unknown key 'asset'"),
        (rule('kind = "limit"'), '"max" is missing'),
        (rule('kind = "limit"\nmax = 5'), "write it in quotes"),
        (rule('kind = "limit"\nmax = "5"'), 'key "max": .*unit'),
        (rule('kind = "limit"\nmax = "5 USDC"'), "unknown asset 'USDC'"),
        (rule('kind = "limit"\nmax = "1btc"\nchain = "ethereum"'), "never speak"),
        (rule('kind = "limit"\nmax = "1 TUSD"\nnetwork = "eip155:5"', before=TOKEN), "never speak"),
        (rule('kind = "rolling-limit"\nmax = "1btc"\nwindow = "a day"'), 'key "window"'),
        (rule('kind = "fee-cap"'), "at least one"),
        (rule('kind = "fee-cap"\nmax = "5 TUSD"', before=TOKEN), "chain's own coin"),
        (rule('kind = "fee-cap"\nrate = "5gwei"\nchain = "bitcoin"'), "no fee rate on bitcoin"),
        (rule('kind = "approval"\nquorum = 0'), "from 1 to 100"),
        (rule('kind = "approval"\nquorum = true'), "from 1 to 100"),
        (rule('kind = "allow-list"\naddresses = []'), "at least one address"),
        (rule('kind = "allow-list"\naddresses = ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"]'), 'key "addresses"'),
        (
            rule('kind = "allow-list"\nchain = "bitcoin"\naddresses = ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]'),
            "no address on bitcoin",
        ),
        (
            rule(
                'kind = "allow-list"\nnetwork = "regtest"\naddresses = ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]'
            ),
            "no bitcoin address",
        ),
        (rule('kind = "allow-list"\naddresses = ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"]'), 'key "addresses"'),
        (rule('kind = "allow-any"\nchain = "litecoin"'), 'key "chain"'),
        (rule('kind = "deny-any"\naccount = "v\u0430ult"'), r"no account can be called 'v\\u0430ult'"),
        (rule('kind = "deny-any"\naccount = "vault "'), "no account can be called"),
        (rule('kind = "allow-any"\nnetwork = "mainnet"'), "unknown network"),
        (rule('kind = "allow-any"\nnetwork = "main"\nchain = "ethereum"'), "no network of ethereum"),
        ('version = 1\n[[rule]]\nname = "Bad Name"\nkind = "allow-any"', "lower-case"),
        (rule('kind = "allow-any"') + '[[rule]]\nname = "r"\nkind = "deny-any"', 'rule 2 "r": key "name": .*earlier'),
        (f"version = 1\n{TOKEN}{TOKEN}", "earlier token"),
        (f"version = 1\n{TOKEN}".replace("TUSD", "btc"), "own coin"),
        (f"version = 1\n{TOKEN}".replace("decimals = 6", "decimals = 78"), "0 to 77"),
        (f"version = 1\n{TOKEN}".replace("eip155:1", "main"), "no Ethereum network"),
        ("x = " + "[" * 100_000, "no valid TOML"),
        ("version = " + "1" * 5000, "no valid TOML"),
        ("#" * (1 << 21), "longer than"),
        ("a" + ".a" * 200_000 + " = 1", "more than 100 dots"),
        ("version = 1\n[" + "a." * 101 + "a]", "more than 100 dots"),
        ("# " + "." * 200 + "\nversion = 2", "reads version 1"),
    ],
)
def test_errors_name_the_place(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        read_policy(text)
    assert caught.value.code == "input.policy"


@given(st.text(max_size=200))
def test_garbage_raises_nothing_foreign(text: str) -> None:
    for document in (text, rule(text)):
        with suppress(InvalidInputError):
            read_policy(document)


VALUES = st.one_of(
    st.text(max_size=12), st.integers(-3, 3), st.booleans(), st.just("1btc"), st.just("24h"), st.just("5%")
)


@given(
    st.dictionaries(st.sampled_from(["max", "window", "percent", "rate", "quorum", "above", "asset"]), VALUES),
    st.sampled_from(["limit", "rolling-limit", "fee-cap", "approval"]),
)
def test_wrong_types_raise_nothing_foreign(values: dict[str, object], kind: str) -> None:
    import json

    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    with suppress(InvalidInputError):
        read_policy(rule(f'kind = "{kind}"\n{lines}'))


def test_the_stage_addresses_are_real(stage: SimpleNamespace) -> None:
    lines = f'kind = "allow-list"\naddresses = ["{stage.ALICE}", "{stage.BOB}", "{stage.CAROL}"]'
    assert len(read_policy(rule(lines)).rules) == 1
