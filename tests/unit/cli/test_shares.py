"""Seeds in shares: made by ``init`` and ``keys split``, taken in by ``restore``; child seeds; custody."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bursar.backends.software import keystore
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, PolicyDeniedError, UserCancelledError, WrongPasswordError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.bip85 import ChildSeeds
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.shamir import combine
from bursar.keys.shamir_share import Share

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
PASSWORD = "correct horse battery"
FINGERPRINT = "73c5da0a"
# SLIP-39, vector 4 (passphrase TREZOR): two of three
SLIP39 = (
    "shadow pistol academic always adequate wildlife fancy gross oasis cylinder "
    "mustang wrist rescue view short owner flip making coding armed",
    "shadow pistol academic acid actress prayer class unknown daughter sweater "
    "depict flip twice unkind craft early superior advocate guest smoking",
)
# BIP-93, vectors 1 and 2
CODEX32 = "ms10testsxxxxxxxxxxxxxxxxxxxxxxxxxx4nzvca9cmczlw"
CODEX32_SHARES = (
    "MS12NAMEA320ZYXWVUTSRQPNMLKJHGFEDCAXRPP870HKKQRM",
    "MS12NAMECACDEFGHJKLMNPQRSTUVWXYZ023FTR2GDZMPY6PN",
)


@pytest.fixture(autouse=True)
def cheap_keystores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivation of a keystore's key is tested elsewhere."""
    from bursar.crypto.kdf import Scrypt

    for name in ("create", "create_from_seed"):
        full: Callable[..., Any] = getattr(keystore, name)
        monkeypatch.setattr(
            keystore, name, lambda *given, full=full, **named: full(*given, **named, kdf=Scrypt(log_n=14))
        )


def fingerprint(seed: bytes) -> str:
    return str(ExtendedPrivateKey.from_seed(seed).fingerprint)


def shown(page: str) -> list[str]:
    """The words of a page, in order."""
    parts = page.split("shown only now.")[1].split()
    numbered = zip(parts[::2], parts[1::2], strict=True)
    return [word for _, word in sorted((int(number[:-1]), word) for number, word in numbered)]


def asked(answers: Any) -> str:
    place = int(answers.heard[-1].split()[1]) - 1
    return shown(next(text for text in reversed(answers.heard) if "shown only now" in text))[place]


def pages(cli: Any) -> list[str]:
    return [text for text in cli.answers.heard if "shown only now" in text]


def pipe(*lines: str) -> str:
    reading, writing = os.pipe()
    os.write(writing, "".join(line + "\n" for line in lines).encode())
    os.close(writing)
    return str(reading)


def test_init_in_shares_and_back(cli: Any, tmp_path: Path) -> None:
    made = cli.json("init", "--shares", "2of3", answers=[*["", asked, asked, asked] * 3, PASSWORD, PASSWORD])
    assert (made["words"], made["shares"], made["group_threshold"]) == (33, ["2of3"], 1)
    papers = [" ".join(shown(page)) for page in pages(cli)]
    assert [page.splitlines()[0] for page in pages(cli)] == [f"{n} of 3: share {n}, 2of3." for n in (1, 2, 3)]
    seed = combine([Share.from_text(papers[2]), Share.from_text(papers[0])])
    assert fingerprint(seed.expose()) == made["fingerprint"]
    assert " ".join(papers[0].split()[:2]) not in json.dumps(made)
    stored = keystore.unlock(cli.home / "keystores" / "main.json", Secret.from_text(PASSWORD))
    assert stored.seed() == seed
    written = b"".join(path.read_bytes() for path in cli.home.rglob("*") if path.is_file())
    for trace in (
        seed.expose(),
        seed.expose().hex().encode(),
        *(" ".join(one.split()[4:7]).encode() for one in papers),
    ):
        assert trace not in written
    cli.home = tmp_path / "again"
    again = cli.json("restore", "--shares", answers=[papers[1], papers[0], PASSWORD, PASSWORD])
    assert again["fingerprint"] == made["fingerprint"]
    assert "Still needed: 1 more share." in " ".join(cli.answers.heard)
    cli.text("account", "add", "savings", answers=[PASSWORD])


def test_init_writes_shares_of_groups_to_a_descriptor(cli: Any, tmp_path: Path) -> None:
    out = tmp_path / "shares"
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT, 0o600)
    options = ("--words", "20", "--shares", "1of1", "--shares", "2of3", "--group-threshold", "2")
    secrets = ("--shares-fd", str(descriptor), "--password-fd", pipe("hush"), "--passphrase-fd", pipe("open sesame"))
    made = cli.json("init", *options, *secrets)
    os.close(descriptor)
    papers = out.read_text().splitlines()
    assert [len(paper.split()) for paper in papers] == [20] * 4
    cli.home = tmp_path / "again"
    for phrase, same in (("open sesame", True), ("open sesami", False)):  # and no error tells which is right
        again = cli.json(
            "restore", "--name", phrase[-3:], "--shares-fd", pipe(*papers[:3]), "--password-fd", pipe("hush"),
            "--passphrase-fd", pipe(phrase),
        )  # fmt: skip
        assert (again["fingerprint"] == made["fingerprint"]) is same


def test_init_stops_when_a_share_is_not_confirmed(cli: Any) -> None:
    with pytest.raises(UserCancelledError):
        cli.text("init", "--shares", "2of2", answers=["", asked, asked, asked, *["", "wrong"] * 3])
    assert not cli.home.exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--shares", "2of3", "--words", "24"),
        ("--words", "33"),
        ("--shares", "2of3", "--mnemonic-fd", "1"),
        ("--shares-fd", "1"),
        ("--shares", "2of3", "--shares", "1of1"),
        ("--shares", "2of3", "--group-threshold", "1"),
        ("--shares", "1of1", "--shares", "1of1", "--group-threshold", "3"),
        ("--shares", "1of3"),
        ("--shares", "two of three"),
    ],
)
def test_init_mistakes(cli: Any, options: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError):
        cli.text("init", *options)
    assert not cli.home.exists()


def test_restore_the_standards_shares(wallet: Any) -> None:
    answers = [*SLIP39, "TREZOR", "TREZOR", PASSWORD, PASSWORD]
    made = wallet.json("restore", "--shares", "--passphrase", "--name", "shared", answers=answers)
    assert made["fingerprint"] == fingerprint(bytes.fromhex("b43ceb7e57a0ea8766221624d01b0864"))
    assert "language" not in made


def test_a_mistyped_share_is_asked_for_again(cli: Any) -> None:
    wrong = SLIP39[0].replace("wildlife", "wildlive")
    answers = [wrong, SLIP39[0], SLIP39[0], WORDS, SLIP39[1], PASSWORD, PASSWORD]
    cli.text("restore", "--shares", answers=answers)
    said = " ".join(cli.answers.heard)
    for reason in ("Word 6 is not in the list", "Share 3 was given before", "not 12. Once more"):
        assert reason in said
    assert "wildlive" not in said
    cli.home = cli.home.with_name("never")
    with pytest.raises(InvalidInputError, match="not in the list"):
        cli.text("restore", "--shares", answers=[wrong] * 5)
    assert not cli.home.exists()


def test_too_few_shares_from_a_descriptor(cli: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"1 more share needed.*at its end") as caught:
        cli.text("restore", "--shares-fd", pipe(SLIP39[0]), "--password-fd", pipe("hush"))
    assert caught.value.code == "input.fd"
    assert not cli.home.exists()


def test_restore_codex32(wallet: Any) -> None:
    for name, typed, seed in (
        ("whole", (CODEX32,), "318c6318c6318c6318c6318c6318c631"),
        ("spaced", (f" {CODEX32[:20]} {CODEX32[20:]}",), "318c6318c6318c6318c6318c6318c631"),
        ("shares", CODEX32_SHARES, "d1808e096b35b209ca12132b264662a5"),
    ):
        source = ("--shares-fd", pipe(*typed), "--password-fd", pipe("hush"))
        made = wallet.json("restore", "--codex32", "--name", name, *source)
        assert made["fingerprint"] == fingerprint(bytes.fromhex(seed))


def test_restore_codex32_at_the_terminal(wallet: Any) -> None:
    answers = [CODEX32[:-1] + "q", CODEX32_SHARES[0], CODEX32_SHARES[0], CODEX32_SHARES[1], PASSWORD, PASSWORD]
    wallet.text("restore", "--codex32", "--name", "typed", answers=answers)
    said = " ".join(wallet.answers.heard)
    assert "checksum does not match" in said
    assert "Share a was given before" in said
    assert "Still needed: 1 more of 2." in said


@pytest.mark.parametrize(
    "options",
    [
        ("--shares", "--codex32"),
        ("--shares", "--language", "english"),
        ("--codex32", "--mnemonic-fd", "0"),
        ("--codex32", "--passphrase"),
    ],
)
def test_restore_mistakes(cli: Any, options: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        cli.text("restore", *options)
    assert caught.value.code == "input.options"


def test_restore_the_digits_of_a_seed_qr(wallet: Any) -> None:
    digits = "0000" * 11 + "0003"
    made = wallet.json("restore", "--name", "scanned", answers=[digits, PASSWORD, PASSWORD])
    assert (made["fingerprint"], made["language"]) == (FINGERPRINT, "english")


def test_split_a_keystore_of_words_and_back(wallet: Any) -> None:
    done = wallet.json(
        "keys", "split", "--shares", "2of2", answers=["no", PASSWORD, *["", asked, asked, asked] * 2]
    )  # fmt: skip
    assert (done["fingerprint"], done["format"], done["shares"]) == (FINGERPRINT, "slip-39", 2)
    papers = [" ".join(shown(page)) for page in pages(wallet)]
    assert [len(paper.split()) for paper in papers] == [59, 59]
    assert combine(map(Share.from_text, papers)) == Mnemonic.from_text(WORDS).to_seed()
    again = wallet.json("restore", "--name", "again", "--shares-fd", pipe(*papers), "--password-fd", pipe("hush"))
    assert again["fingerprint"] == FINGERPRINT


def test_split_as_codex32(wallet: Any, tmp_path: Path) -> None:
    wallet.text("keys", "split", "--codex32", "--shares", "2of3", answers=[PASSWORD, *["", asked, asked, asked] * 3])
    papers = ["".join(shown(page)) for page in pages(wallet)]
    whole = tmp_path / "whole"
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT, 0o600)
    assert "1 handed out" in wallet.text(
        "keys", "split", "--codex32", "--shares-fd", str(descriptor), answers=[PASSWORD]
    )
    os.close(descriptor)
    for lines in (papers[1:], [whole.read_text().strip()]):
        source = ("--shares-fd", pipe(*lines), "--password-fd", pipe("hush"))
        again = wallet.json("restore", "--codex32", "--name", f"of{len(lines)}", *source)
        assert again["fingerprint"] == FINGERPRINT


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--codex32", "--passphrase"),
        ("--codex32", "--shares", "2of3", "--group-threshold", "1"),
        ("--shares", "2of3", "--shares", "2of3"),
    ],
)
def test_split_mistakes_cost_no_password(wallet: Any, options: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError):
        wallet.text("keys", "split", *options)


def test_codex32_has_no_groups(wallet: Any) -> None:
    with pytest.raises(InvalidInputError, match="once"):
        wallet.text("keys", "split", "--codex32", "--shares", "2of3", "--shares", "2of3", answers=[PASSWORD])


def test_a_wrong_password_three_times(wallet: Any) -> None:
    with pytest.raises(WrongPasswordError):
        wallet.text("keys", "split", "--shares", "2of3", answers=["no"] * 3)
    with pytest.raises(WrongPasswordError):
        wallet.text("keys", "split", "--shares", "2of3", "--password-fd", pipe("no", PASSWORD))


@pytest.mark.parametrize(
    ("options", "derive"),
    [
        (("mnemonic",), lambda one: one.mnemonic().text()),
        (
            ("mnemonic", "--words", "24", "--language", "japanese", "--index", "7"),
            lambda one: one.mnemonic(words=24, language="japanese", index=7).text(),
        ),
        (("wif", "--index", "1"), lambda one: one.wif(index=1)),
        (("xprv",), lambda one: one.extended_key().text()),
        (("hex", "--length", "16"), lambda one: Secret.from_text(one.secret_bytes(16).expose().hex())),
        (("base64",), lambda one: one.base64_password(24)),
        (("base85", "--length", "12", "--index", "2"), lambda one: one.base85_password(12, index=2)),
    ],
)
def test_child_seeds(wallet: Any, options: tuple[str, ...], derive: Callable[[ChildSeeds], Secret]) -> None:
    with ExtendedPrivateKey.from_seed(Mnemonic.from_text(WORDS).to_seed()) as root:
        wanted = derive(ChildSeeds(root, allow_export=True)).expose().decode()
    done = wallet.json("keys", "child", *options, answers=[PASSWORD, ""])
    assert (done["fingerprint"], done["kind"]) == (FINGERPRINT, options[0])
    assert wallet.answers.heard[-2].endswith("\n\n" + wanted)
    assert wanted not in json.dumps(done)


def test_a_child_goes_to_a_descriptor(wallet: Any) -> None:
    reading, writing = os.pipe()
    said = wallet.text("keys", "child", "wif", "--child-fd", str(writing), answers=[PASSWORD])
    os.close(writing)
    with os.fdopen(reading) as file:
        key = file.read().strip()
    assert len(key) == 52
    assert key not in said


@pytest.mark.parametrize(
    "options", [("wif", "--words", "12"), ("hex", "--language", "english"), ("mnemonic", "--length", "20")]
)
def test_child_mistakes(wallet: Any, options: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        wallet.text("keys", "child", *options)
    assert caught.value.code == "input.options"


def test_in_custody_nothing_leaves_unless_it_is_allowed(wallet: Any) -> None:
    settings = wallet.home / "config.toml"
    plain = settings.read_text()
    for table in ("[custody]\n", "[custody]\nallow_export = false\n"):
        settings.write_text(f"{plain}\n{table}")
        for command in (("split", "--shares", "2of3"), ("child", "mnemonic")):
            with pytest.raises(PolicyDeniedError) as caught:
                wallet.text("keys", *command)
            assert caught.value.rule == "custody"
    settings.write_text(f"{plain}\n[custody]\nallow_export = true\n")
    wallet.text("keys", "child", "mnemonic", answers=[PASSWORD, ""])
    for table in ("custody = 1", "[custody]\nallow_export = 'yes'", "[custody]\nallow = true"):
        settings.write_text(f"network = 'regtest'\nchain_id = 1\n{table}\n")
        with pytest.raises(InvalidInputError, match="custody"):
            wallet.text("keys", "child", "mnemonic")
