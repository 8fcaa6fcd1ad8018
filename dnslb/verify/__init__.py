"""Asks the authoritative servers what they answer: whether what was applied is published."""
