"""The whole job, end to end, on private chains in a temporary folder."""
