"""Pages driven in headless Chromium."""
