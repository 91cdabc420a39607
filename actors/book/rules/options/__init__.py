"""Options: names of structures, exercise, assignment, expiry."""
