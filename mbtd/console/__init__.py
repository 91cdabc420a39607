"""The operator's side of a running daemon: what ``admin.sock`` answers, and the programs that ask it."""
