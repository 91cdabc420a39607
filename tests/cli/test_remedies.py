"""Advice in the command line's own words, and numbers that say something."""

from __future__ import annotations

import re

import pytest

from actors.book.rules.reason_table import REASONS
from mbtd.cli import output
from mbtd.cli.program import build_parser
from mbtd.cli.remedies import COMMANDS, FLAGS, in_commands
from mbtd.methods import COMMANDS as METHODS
from mbtd.methods import HOUSE_COMMANDS
from mbtd.rpc.errors import KINDS, ErrorData, RpcError
from mbtd.service.reads import READS


def test_every_method_that_advice_names_has_a_command() -> None:
    texts = [*(reason.advice for reason in REASONS.values()), *(kind.remedy for kind in KINDS.values())]
    named = {word for text in texts for word in re.findall(r"[a-z_]+\.[a-z_]+", text)}
    assert {word for word in named if word in {*METHODS, *HOUSE_COMMANDS, *READS}} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS.values())
def test_every_such_command_exists(command: str) -> None:
    args = build_parser().parse_args(command.split())
    assert args.run


def test_flags_exist() -> None:
    for flag in FLAGS.values():
        assert build_parser().parse_args(["order", "place", flag]).any_sign is True


def test_advice_is_told_in_commands_and_numbers_without_a_value_are_not() -> None:
    remedy = "See structure.list, or say any_sign."
    numbers = {"leg": "", "most": "8"}
    data = ErrorData(reason="leg_count", retryable=False, field="legs", numbers=numbers, remedy=remedy)
    error = RpcError(code=3621, message="mleg orders must have at least 2 legs", data=data)
    told = output.refusal_lines(error)
    assert told[-1] == "  what to do See `mbtd structure list`, or say --any-sign."
    assert [line.split()[0] for line in told[1:-1]] == ["field", "most"]


def test_other_words_with_a_point_stay() -> None:
    text = "take_profit.limit_price is a decimal text; restructure.list"
    assert in_commands(text) == text
