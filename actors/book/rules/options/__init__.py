"""Options: structures, exercise, assignment, expiry."""
