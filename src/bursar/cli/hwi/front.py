"""One command line in, one JSON document out."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from bursar.cli import core_dumps, stopping
from bursar.cli.hwi.arguments import parser, password_among
from bursar.cli.hwi.codes import Code, code_of
from bursar.errors import BursarError, UnsupportedError

if TYPE_CHECKING:
    from argparse import Namespace

    from bursar.cli.hwi.prompting import HwiPrompt
    from bursar.signing.protocols import SignerInfo
    from bursar.signing.registry import Registry

_LONGEST_LINE = 100_000_000


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    stopping.install()
    core_dumps.forbid()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        unseen = _from_stdin() if "--stdin" in words else []
    except ValueError as error:
        print(json.dumps({"error": f"standard input: {error}", "code": int(Code.MISSING_ARGUMENTS)}))
        return 2
    try:
        options = parser().parse_args(words + unseen)
    except SystemExit as stop:
        return int(stop.code or 0)
    print(json.dumps(_answered(options, seen=password_among(words))))
    return 0


def _from_stdin() -> list[str]:
    """Arguments, a line or more, to the first empty one."""
    words: list[str] = []
    while (line := sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n")) != "":
        words += shlex.split(line)
    return words


def _answered(options: Namespace, *, seen: bool) -> Any:
    try:
        return _answer(options, seen=seen)
    except BursarError as error:
        return {"error": error.message, "code": int(code_of(error))}
    except (KeyboardInterrupt, stopping.TerminatedError):
        return {"error": "Stopped.", "code": int(Code.ACTION_CANCELED)}
    except OSError as error:
        return {"error": str(error), "code": int(Code.UNKNOWN_ERROR)}


def _answer(options: Namespace, *, seen: bool) -> Any:
    from bursar.backends.software import SoftwareBackend
    from bursar.cli.device_backends import device_backends
    from bursar.cli.home import locate
    from bursar.cli.hwi import unlocking
    from bursar.cli.hwi.finding import Wanted, find, listed
    from bursar.cli.hwi.prompting import prompt_of
    from bursar.cli.terminal import Terminal
    from bursar.signing.registry import Registry

    if options.command == "installudevrules":
        from bursar.cli.hwi.administration import install_udev_rules

        return install_udev_rules(options)
    home = locate(None)
    prompt = prompt_of(options, Terminal(), seen=seen)
    wanted = Wanted(options.device_type, options.device_path, options.fingerprint, options.emulators)
    if options.command == "sendpin":
        return unlocking.sendpin(wanted, options)
    known = Registry.installed([SoftwareBackend(home.keystores), *device_backends(home, prompt.passphrase)])
    if options.command == "enumerate":
        return listed(known, wanted, prompt)
    info = find(known, wanted)
    if options.command in unlocking.COMMANDS:
        return {"promptpin": unlocking.promptpin, "togglepassphrase": unlocking.togglepassphrase}[options.command](
            info, prompt
        )
    if prompt.keyring_entry is not None:
        prompt.keyring_entry = info.location
    return _with_device(known, info, prompt, options)


def _with_device(known: Registry, info: SignerInfo, prompt: HwiPrompt, options: Namespace) -> Any:
    from bursar.bitcoin.network import Network
    from bursar.cli.hwi.administration import ADMINISTRATION
    from bursar.cli.hwi.commands import COMMANDS
    from bursar.cli.hwi.keys import Keys
    from bursar.signing.protocols import AdministersDevices

    backend = known.backend(info.backend)
    if options.command in ADMINISTRATION:
        if not isinstance(backend, AdministersDevices):
            raise UnsupportedError(f"{info.backend} is no device to be set up", operation=options.command)
        with closing(backend.administer(info, prompt)) as admin:
            return ADMINISTRATION[options.command](admin, options, prompt)
    if options.command not in COMMANDS:
        raise UnsupportedError(f"{options.command} is not available for {info.backend}", operation=options.command)
    with closing(backend.open(info, prompt)) as signer:
        return COMMANDS[options.command](Keys(signer, Network.from_text(options.chain)), options)
