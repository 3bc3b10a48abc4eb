"""Tests of the documentation: the site builds, and what its pages show is what happens."""
