"""Evidence for cell types."""
