"""No core dumps: a crash must not write what is in memory, keys and passphrases among it, to a disk."""

from __future__ import annotations


def forbid() -> None:
    """For this process and those it starts; does nothing where the system knows no such limit."""
    try:
        import resource
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
