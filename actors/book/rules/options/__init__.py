"""What option legs are together: their names, payoff, loss bounds and breakevens."""
