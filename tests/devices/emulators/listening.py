"""Who listens where, from the kernel's own tables."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

_LISTEN = "0A"


def family_of(pid: int) -> set[int]:
    """The process and everything it started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found


def listening(pid: int) -> set[tuple[str, int]]:
    """The addresses and ports on which the process or one of its children listens (TCP) or is bound (UDP)."""
    inodes = set()
    for member in family_of(pid):
        try:
            links = [str(path.readlink()) for path in Path(f"/proc/{member}/fd").iterdir()]
        except OSError:
            continue
        inodes |= {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.is_file() else ():
            words = line.split()
            if words[9] in inodes and (table.startswith("udp") or words[3] == _LISTEN):
                found.add(_address(words[1]))
    return found


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    numbers = struct.pack(f"={len(host) // 8}I", *(int(host[at : at + 8], 16) for at in range(0, len(host), 8)))
    return socket.inet_ntop(socket.AF_INET if len(numbers) == 4 else socket.AF_INET6, numbers), int(port, 16)
