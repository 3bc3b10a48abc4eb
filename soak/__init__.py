"""Slow proofs, run by hand: ``python -m soak.kills`` and others; short forms of them are among the tests."""
