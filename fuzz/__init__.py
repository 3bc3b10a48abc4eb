"""Fuzzing of every parser of what comes from outside; `python -m fuzz.run --help`."""
