"""Nodes: where chain data comes from and transactions go; each module is one kind of node, imported by name."""
