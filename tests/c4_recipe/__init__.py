"""The C4 recipe."""
