"""Hostile clients against a real daemon: arbitrary bytes, mutated requests, peers that do not behave."""
