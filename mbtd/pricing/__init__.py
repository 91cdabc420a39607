"""What options are worth: implied volatility, Greeks, theoretical values, payoffs. Nothing here decides anything.

Invariants: numbers are binary fractions of dollars, years and annual rates, and leave only as shown figures;
margin, fills and settlement never use them. No value that is not finite leaves this package.
"""
