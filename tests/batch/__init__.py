"""Annotating many recordings."""
