"""Carries bytes and time between the world and the parts; knows no meaning."""
