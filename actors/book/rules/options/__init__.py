"""Options: structures with their payoffs and bounds, exercise, assignment, expiry."""
