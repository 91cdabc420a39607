"""Corporate actions in an account: which are due, what they do to it, and the same when they became known late."""
