"""Everything that decides and replays: engine, actors, mailboxes, the market board, the book and its rules.

Nothing in this package does I/O, reads a clock or draws a random number; only :mod:`actors.pump` may wait.
Everything a decision can see arrives as a sequenced input (see :mod:`actors.inputs`).
It imports neither ``mbtd`` nor ``storage``.
"""
