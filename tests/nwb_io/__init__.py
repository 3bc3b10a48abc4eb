"""Tests of reading and writing NWB files."""
