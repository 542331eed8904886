"""What calls of contracts do: who receives what and who may spend what, calls inside calls unfolded."""
