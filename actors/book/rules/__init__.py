"""What is allowed and what follows: rules read state and produce events, and never change a book."""
