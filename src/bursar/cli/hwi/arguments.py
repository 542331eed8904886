"""The arguments of ``hwi`` 3: the same flags and commands, ``signtx`` also by file."""

from __future__ import annotations

import argparse
import json
import sys
from typing import IO, TYPE_CHECKING, Any, NoReturn

from bursar.cli.hwi.codes import Code
from bursar.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

CHAINS = ("main", "test", "regtest", "signet", "testnet4")
PASSPHRASES = ("none", "ask", "device")
ADDRESS_TYPES = ("legacy", "wit", "sh_wit", "tap")


class Parser(argparse.ArgumentParser):
    """Help and usage go to standard error, and one JSON document to standard output whatever happens."""

    def print_usage(self, file: IO[str] | None = None) -> None:  # type: ignore[override]
        super().print_usage(file or sys.stderr)

    def print_help(self, file: IO[str] | None = None) -> None:  # type: ignore[override]
        super().print_help(file or sys.stderr)
        print(json.dumps({"error": "Help text requested", "code": Code.HELP_TEXT}))

    def error(self, message: str) -> NoReturn:
        """The usage, an error document, exit code 2."""
        self.print_usage()
        print(json.dumps({"error": f"{self.prog}: error: {message}", "code": Code.MISSING_ARGUMENTS}))
        self.exit(2)


def password_among(words: Sequence[str]) -> bool:
    """Whether ``words`` hold a password; those on the command line are read by every program on this computer."""
    only = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    only.add_argument("--password", "-p")
    return bool(only.parse_known_args(list(words))[0].password)


def _address_type(text: str) -> str:
    lowered = text.lower()
    if lowered not in ADDRESS_TYPES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(ADDRESS_TYPES)}")
    return lowered


def _chain(text: str) -> str:
    return text.lower()


def parser() -> Parser:
    """Every flag and command."""
    top = Parser(
        prog="bursar-hwi",
        description="Speak to a signer as 'hwi' does: one command, one JSON document on standard output.",
    )
    top.add_argument("--device-path", "-d", metavar="PATH", help="where the device is, as 'enumerate' prints it")
    top.add_argument("--device-type", "-t", metavar="TYPE", help="trezor, ledger, software, …, or a model")
    top.add_argument("--password", "-p", help="only empty, except by --stdin: others see this line")
    top.add_argument("--stdinpass", action="store_true", help="ask for the password or passphrase on the terminal")
    top.add_argument("--password-file", metavar="FILE", help="read it from a file that only its owner may read")
    top.add_argument("--keyring", action="store_true", help="take it from the operating system's keyring")
    top.add_argument(
        "--passphrase",
        choices=PASSPHRASES,
        default="ask",
        help="a Trezor's: none, asked for (as the password options say), or entered on the device",
    )
    top.add_argument("--chain", type=_chain, choices=CHAINS, default="main", help="which network")
    top.add_argument("--debug", action="store_true", help="accepted and ignored")
    top.add_argument("--fingerprint", "-f", metavar="HEX", help="the signer with this master key fingerprint")
    top.add_argument("--version", action="version", version=f"bursar-hwi {__version__}")
    top.add_argument("--stdin", action="store_true", help="read more arguments from standard input, to an empty line")
    top.add_argument("--interactive", "-i", action="store_true", help="a person is there (setup and restore need one)")
    top.add_argument("--expert", action="store_true", help="more details from getxpub")
    top.add_argument("--emulators", action="store_true", help="look for emulators, too")
    top.add_argument("--external-inputs", action="store_true", help="signtx: let others pay with this signer")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    command("enumerate", "List the signers that can be reached.")
    _add_keys(command)
    _add_signing(command)
    _add_administration(command)
    return top


def _add_keys(command: Any) -> None:
    one = command("getmasterxpub", "The extended public key of a BIP-44 account.")
    one.add_argument("--addr-type", type=_address_type, choices=ADDRESS_TYPES, default="wit", help="address type")
    one.add_argument("--account", type=int, default=0, help="account number")
    one = command("getxpub", "The extended public key at a path.")
    one.add_argument("path", help="m/84h/0h/0h")
    one = command("getkeypool", "Descriptors as Bitcoin Core's importdescriptors takes them.")
    pool = one.add_mutually_exclusive_group()
    pool.add_argument("--keypool", action="store_true", dest="keypool", default=True, help="for the keypool (default)")
    pool.add_argument("--nokeypool", action="store_false", dest="keypool", help="not for the keypool")
    one.add_argument("--internal", action="store_true", help="change keys")
    kind = one.add_mutually_exclusive_group()
    kind.add_argument("--addr-type", type=_address_type, choices=ADDRESS_TYPES, default="wit", help="address type")
    kind.add_argument("--all", action="store_true", help="all address types")
    one.add_argument("--account", type=int, default=0, help="account number")
    one.add_argument("--path", help="m/84h/0h/0h/1/*")
    one.add_argument("start", type=int, help="first index")
    one.add_argument("end", type=int, help="last index")
    one = command("getdescriptors", "Receive and change descriptors of every address type.")
    one.add_argument("--account", type=int, default=0, help="account number")


def _add_signing(command: Any) -> None:
    one = command("signtx", "Sign a PSBT.")
    what = one.add_mutually_exclusive_group(required=True)
    what.add_argument("psbt", nargs="?", help="base64")
    what.add_argument("--file", metavar="FILE", help="a file, base64 or binary; - for standard input")
    one.add_argument("--output", metavar="FILE", help="also write the answer to this new file, binary")
    one.add_argument("--registration", help="what registerdescriptor printed, of the account that pays")
    one = command("signmessage", "Sign a message.")
    one.add_argument("message")
    one.add_argument("path", help="of the key: m/84h/0h/0h/0/0")
    one = command("displayaddress", "Show an address on the device and compare it.")
    which = one.add_mutually_exclusive_group(required=True)
    which.add_argument("--desc", help="descriptor of one address")
    which.add_argument("--path", help="m/84h/0h/0h/0/0")
    which.add_argument("--registration", help="what registerdescriptor printed")
    one.add_argument("--addr-type", type=_address_type, choices=ADDRESS_TYPES, default="wit", help="address type")
    one.add_argument("--index", type=int, help="index, with --registration")
    branch = one.add_mutually_exclusive_group()
    branch.add_argument("--multipath-index", type=int, help="branch, with --registration")
    branch.add_argument("--change", action="store_const", const=1, dest="multipath_index", help="the change branch")
    one = command("registerdescriptor", "Register a descriptor with the device.")
    one.add_argument("name")
    one.add_argument("descriptor")


def _add_administration(command: Any) -> None:
    one = command("setup", "Make new keys on an empty device. Needs --interactive.")
    one.add_argument("--label", "-l", default="", help="its name")
    one.add_argument("--backup_passphrase", "-b", default="", help="not used by any device here")
    command("wipe", "Erase a device.")
    one = command("restore", "Put known words on an empty device. Needs --interactive.")
    one.add_argument("--word_count", "-w", type=int, default=24, choices=(12, 18, 24), help="words")
    one.add_argument("--label", "-l", default="", help="its name")
    one = command("backup", "Have the device show its words.")
    one.add_argument("--label", "-l", default="", help="not used by any device here")
    one.add_argument("--backup_passphrase", "-b", default="", help="not used by any device here")
    command("promptpin", "Ask the person for the PIN and unlock the device.")
    one = command("sendpin", "Unlock with the positions of the PIN.")
    one.add_argument("pin")
    command("togglepassphrase", "Switch passphrases on or off.")
    one = command("installudevrules", "Write the udev rules; needs root.")
    one.add_argument("--location", default="/etc/udev/rules.d/", help="folder")
