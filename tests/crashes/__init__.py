"""Killing the real process at random moments: every file loads, nothing acknowledged is missing."""
