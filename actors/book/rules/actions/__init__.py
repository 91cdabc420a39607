"""What corporate actions do: pure rules on lots, contracts and orders."""
