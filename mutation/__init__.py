"""Mutation testing of the numerical core; `python -m mutation.run --help`."""
