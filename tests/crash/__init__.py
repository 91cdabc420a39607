"""Crash loops: processes killed at random and at named places, then started again and checked."""
