"""The chain contract: what a wallet asks of a node, as data, and the caps a node's fee advice must keep to."""
