"""Numbers as people read them."""

from __future__ import annotations

import pytest

from mbtd.cli import output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-114.191899", "-114.19"),
        ("0.125", "0.12"),
        ("0.135001", "0.14"),
        ("1234567.5", "1,234,567.5"),
        ("30", "30"),
        ("-0.001", "0.00"),
        ("unlimited", "unlimited"),
        (None, "-"),
    ],
)
def test_dollars_are_told_no_finer_than_cents(text: str | None, shown: str) -> None:
    assert output.cents(text) == shown


def test_columns_of_dollars_are_aligned_at_the_cent_and_others_are_left_alone() -> None:
    rows = [
        {"qty": "0.123456789", "pl": "-114.191899", "loss": "unlimited"},
        {"qty": "1", "pl": "30", "loss": "982"},
        {"qty": None, "pl": None, "loss": 12.5},
    ]
    columns = [("qty", "qty"), ("P/L", "pl"), ("max loss", "loss")]
    assert output.table(rows, columns).splitlines()[1:] == [
        "0.123456789  -114.19  unlimited",
        "          1    30.00     982.00",
        "          -        -      12.50",
    ]
