"""What survives: bytes, numbers and SQL. Journal, snapshots, archive, projections, tape files.

It knows no order and no rule; whatever it must understand is handed to it as a function.
It imports neither ``mbtd`` nor ``actors``.
"""
