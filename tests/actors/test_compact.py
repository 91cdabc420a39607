"""The house's tables answer as dicts would."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book import events as e
from actors.house.compact import RECENT_MAX, Numbers, User, Users
from actors.house.state import House

KEYS = st.one_of(st.sampled_from(["a", "b", "ab", "", "\x00", "ß", "\U0001f600"]), st.text(max_size=3))
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, st.integers(0, 2**32 - 1)),
        st.tuples(st.just("del"), KEYS, st.just(0)),
        st.tuples(st.just("get"), KEYS, st.just(0)),
    ),
    max_size=200,
)


@settings(max_examples=200, deadline=None)
@given(CALLS, st.booleans(), st.integers(0, 80))
def test_numbers_are_a_dict(calls: list[tuple[str, str, int]], text: bool, others: int) -> None:
    table: Numbers[str] = Numbers(text=text)
    want: dict[str, int] = {}

    def key_of(word: str) -> str:
        return word if text else word.encode()  # type: ignore[return-value]

    calls = [*(("set", f"other {number}", number) for number in range(others)), *calls]
    for what, word, value in calls:
        key = key_of(word)
        if what == "set":
            table[key] = want[key] = value
        elif what == "del" and key in want:
            del table[key], want[key]
        assert table.get(key) == want.get(key)
        assert (key in table) is (key in want)
    assert len(table) == len(want)
    assert list(table.items()) == list(table.pairs()) == list(want.items())


def test_a_deleted_key_leaves_no_bytes() -> None:
    table: Numbers[str] = Numbers(text=True)
    table["a secret name"] = 1
    table["another"] = 2
    del table["a secret name"]
    assert b"secret" not in bytes(table._bytes)
    assert list(table) == ["another"]


def test_what_was_asked_for_lately_is_bounded_and_never_stale() -> None:
    table: Numbers[str] = Numbers(text=True)
    for number in range(3 * RECENT_MAX):
        table[f"a{number}"] = number
    for number in range(3 * RECENT_MAX):
        assert table[f"a{number}"] == number
        assert len(table._recent) <= RECENT_MAX
    table["a7"] = 8
    assert table["a7"] == 8
    del table["a7"]
    assert "a7" not in table


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(KEYS, st.sampled_from(["free", "pro"]), st.lists(st.integers(1, 9), max_size=3))))
def test_users_are_a_dict(users: list[tuple[str, str, list[int]]]) -> None:
    table = Users()
    want: dict[str, User] = {}
    for user_id, tier, account_nos in users:
        table[user_id] = want[user_id] = User(tier, tuple(account_nos))
    assert dict(table) == dict(table.pairs()) == want
    for user_id in list(want)[::2]:
        del table[user_id], want[user_id]
    assert dict(table) == dict(table.pairs()) == want


def test_a_house_knows_names_by_number_also_after_a_restart() -> None:
    house = House()
    for number in range(1, 2_000):
        account_id = f"00000000-0000-8000-a000-{number:012x}"
        house.fold(e.AccountRegistered(number, account_id, f"name {number}", f"user {number % 7}"))
        assert house.find(account_id) == house.find(f"name {number}") == number
    again = House.decode(house.encode())
    assert again.encode() == house.encode()
    for known in (house, again):
        assert known.name_of(1_234) == "name 1234"
        assert known.name_of(2_000) is None
        assert known.users["user 3"].account_nos == tuple(range(3, 2_000, 7))
