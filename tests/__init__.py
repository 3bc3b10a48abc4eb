"""Tests of the toolkit; a package, so that its folders can import each other's helpers."""
