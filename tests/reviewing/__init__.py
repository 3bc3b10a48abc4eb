"""Reviews: journal, decisions, saving, agreement, and the page in a real browser."""
