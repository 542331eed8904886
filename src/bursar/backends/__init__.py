"""Floor 6: the pluggable signers, each in its own folder and none knowing another."""
