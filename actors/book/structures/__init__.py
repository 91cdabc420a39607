"""Structures: contracts opened together by one order, kept together through partial closes, rolls and settlement."""
