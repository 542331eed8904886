"""No secret leaves its coat: not by argument, environment, output, log, traceback or file."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bursar.cli.app import root
from bursar.crypto.secret import Secret
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath

SOURCE = Path(__file__).resolve().parents[2] / "src" / "bursar"
SECRET_WORDS = ("password", "passphrase", "mnemonic", "seed", "pin", "secret", "xprv", "words")
WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
PASSWORD = "correct-horse-9f2c"
PASSPHRASE = "TREZOR-a41e"


def commands(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return [command]
    context = click.Context(command)
    below = [command.get_command(context, name) for name in command.list_commands(context)]
    return [command, *(leaf for one in below if one is not None for leaf in commands(one))]


def test_no_option_takes_a_secret() -> None:
    """An option about a secret is a switch, a number (file descriptor, length) or a choice; never free text."""
    for command in commands(root):
        for parameter in command.params:
            named = any(word in (parameter.name or "") for word in SECRET_WORDS)
            harmless = isinstance(parameter.type, (click.IntRange, click.Choice, click.types.BoolParamType))
            assert not named or harmless, (command.name, parameter.name)
            assert not parameter.envvar, (command.name, parameter.name)


def test_the_environment_is_asked_for_no_secret() -> None:
    for path in SOURCE.rglob("*.py"):
        source = path.read_text()
        if "environ" not in source and "getenv" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            text = ast.unparse(node) if isinstance(node, (ast.Call, ast.Subscript)) else ""
            if text.startswith(("os.environ", "os.getenv")):
                assert not any(word in text.lower() for word in SECRET_WORDS), f"{path}: {text}"


def test_nothing_writes_to_a_log() -> None:
    """There is no logging of our own: what is worth recording goes to the journal, what is worth telling to a human."""
    logging = [path for path in SOURCE.rglob("*.py") if re.search(r"^\s*(import|from) logging", path.read_text(), re.M)]
    assert not [path for path in logging if "getLogger" in path.read_text()]


def traces(words: str, passphrase: str) -> list[bytes]:
    """What must never be seen: the inputs, and what is derived from them, as text and as bytes."""
    mnemonic = Mnemonic.from_text(words)
    seed = mnemonic.to_seed(Secret.from_text(passphrase)).expose()
    found = [words.encode(), " ".join(words.split()[:4]).encode(), PASSWORD.encode(), passphrase.encode()]
    found += [seed, seed.hex().encode(), mnemonic.entropy().expose(), mnemonic.entropy().expose().hex().encode()]
    master = ExtendedPrivateKey.from_seed(seed)
    for path in ("m", "m/44h/1h/0h", "m/86h/1h/0h", "m/44h/60h/0h", "m/44h/1h/0h/0/0", "m/44h/60h/0h/0/0"):
        key = master.derive(DerivationPath.from_text(path)) if path != "m" else master
        secret = key.secret().expose()
        found += [secret, secret.hex().encode(), key.text().expose()]
    return found


class Machine:
    """One wallet folder, and everything every command said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = b""

    def run(self, *arguments: str, secrets: tuple[str, ...] = ()) -> int:
        """Run ``bursar`` with each secret as a line of file descriptor 3 or up, in the order of ``{fd}`` arguments."""
        pipes = []
        words = list(arguments)
        for secret in secrets:
            reading, writing = os.pipe()
            os.write(writing, secret.encode() + b"\n")
            os.close(writing)
            pipes.append(reading)
            words[words.index("{fd}")] = str(reading)
        env = {**os.environ, "BURSAR_HOME": str(self.folder / "wallet"), "HOME": str(self.folder), "PYTHONDEVMODE": "1"}
        command = [sys.executable, str(Path(sys.executable).with_name("bursar")), *words]
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, pass_fds=pipes, check=False, timeout=120
        )
        for pipe in pipes:
            os.close(pipe)
        self.said += done.stdout + done.stderr
        return done.returncode

    def written(self) -> bytes:
        return b"\0".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_wallets_life_leaves_no_trace_of_its_secrets(machine: Machine) -> None:
    restore = (
        "restore",
        "--network",
        "regtest",
        "--mnemonic-fd",
        "{fd}",
        "--password-fd",
        "{fd}",
        "--passphrase-fd",
        "{fd}",
    )
    assert machine.run(*restore, secrets=(WORDS, PASSWORD, PASSPHRASE)) == 0, machine.said.decode()
    kinds = {"savings": ("--scheme", "bip44"), "vault": ("--scheme", "bip86"), "gas": ("--chain", "ethereum")}
    for name, kind in kinds.items():
        add = ("account", "add", name, *kind, "--password-fd", "{fd}")
        assert machine.run(*add, secrets=(PASSWORD,)) == 0, machine.said.decode()
        assert machine.run("address", "new", name, "--json") == 0, machine.said.decode()
    for name in ("savings", "gas"):
        sign = ("message", "sign", name, "0", "I own this", "--password-fd", "{fd}", "--json")
        assert machine.run(*sign, secrets=(PASSWORD,)) == 0, machine.said.decode()
    failing: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        (("account", "add", "more", "--scheme", "bip84", "--password-fd", "{fd}"), (PASSWORD[:-1],)),  # wrong password
        ((*restore[:-4], "--password-fd", "{fd}", "--name", "again"), (WORDS + " legal", PASSWORD)),  # not a mnemonic
        (("send", "savings", "nonsense", "1btc", "--password-fd", "{fd}", "--yes"), (PASSWORD,)),
        (("message", "sign", "vault", "0", "no", "--format", "legacy", "--password-fd", "{fd}"), (PASSWORD,)),
        (("balance",), ()),
    ]
    for arguments, secrets in failing:
        assert machine.run(*arguments, secrets=secrets) != 0, arguments
    for arguments in (("devices",), ("account", "list", "--json"), ("doctor",), ("journal", "verify", "--json")):
        machine.run(*arguments)
    said, written = machine.said, machine.written()
    for trace in traces(WORDS, PASSPHRASE):
        assert trace not in said, "a secret was printed"
        assert trace not in written, "a secret was written"


def test_a_defect_shows_no_secret() -> None:
    """A traceback shows source lines and messages; neither holds the secret of an object that it passed."""
    code = (
        "import traceback\n"
        "from bursar.crypto.secret import Secret\n"
        "from bursar.keys.mnemonic import Mnemonic\n"
        "from bursar.backends.software import SoftwareSigner\n"
        f"words = Mnemonic.from_text({WORDS!r})\n"
        f"password = Secret.from_text({PASSWORD!r})\n"
        "signer = SoftwareSigner.from_mnemonic(words, password)\n"
        "try: raise RuntimeError(f'{words!r} {words} {password!r} {password} {signer!r} {signer}')\n"
        "except RuntimeError: traceback.print_exc()\n"
        "print({**locals()})\n"
    )
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, check=False)
    shown = done.stdout + done.stderr
    assert "RuntimeError" in shown
    for secret in (WORDS, WORDS.split()[1] + " " + WORDS.split()[2], PASSWORD):
        assert secret not in shown
