"""Helpers for the tests of packages that use this extension."""
