"""The gateway: Alpaca's HTTP and WebSocket interface in front of the daemon's socket, a process of its own.

It keeps nothing: keys, sessions, rates and data are the daemon's, so a restart changes nothing (architecture §11).
Tolerance for the foreign dialect lives here; what goes to the daemon is strict.
"""
