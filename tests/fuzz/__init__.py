"""Hostile input, made at random for as long as one likes."""
