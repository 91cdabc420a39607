"""The state of one account, and the only function that changes it."""
