"""Inputs that are broken on purpose, and what is said about each."""
