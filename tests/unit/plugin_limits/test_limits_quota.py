"""Allowances a day, on a clock that the test moves, in a file that the test breaks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.errors import RateLimitedError
from emberd.plugins import ClientLimit, ClientLimits
from emberd.testing.rate_limiter import sample_demand, sample_outcome
from emberd_limits.days import day_ends_at, day_of
from emberd_limits.ledger import MOST_NAMES, Ledger
from emberd_limits.quota import SAVE_S, DailyQuota
from emberd_limits.settings import Allowance, QuotaSettings

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
LOG = logging.getLogger("test.limits")


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


Make = Callable[..., DailyQuota]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "quota.json"


@pytest.fixture
def make(clock: Clock, file: Path) -> Make:
    def made(**client: int) -> DailyQuota:
        settings = QuotaSettings(midnight="utc", client=Allowance(**client))
        return DailyQuota(settings, file, LOG, clock)

    return made


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def use(quota: DailyQuota, texts: int = 1, tokens: int = 1, client: str = "one") -> None:
    quota.report(
        quota.acquire(sample_demand(client, texts=texts, tokens=tokens)),
        sample_outcome(tokens=tokens),
    )


def test_a_quota_is_used_up_and_comes_back_at_midnight(make: Make, clock: Clock) -> None:
    quota = make(texts=10)
    use(quota, 10)
    with pytest.raises(RateLimitedError, match="0 of its 10 texts a day left") as caught:
        use(quota)
    assert caught.value.retry_after_ms == 12 * 3_600 * 1_000
    assert caught.value.details["limit"] == "texts_a_day"
    clock.now += 12 * 3_600
    use(quota, 10)


def test_clients_have_a_quota_each_and_a_namespace_has_one(file: Path, clock: Clock) -> None:
    settings = QuotaSettings(
        client=Allowance(texts=2), namespace={"default": Allowance(tokens=30)}, midnight="utc"
    )
    quota = DailyQuota(settings, file, LOG, clock)
    use(quota, 2, 10, "one")
    with pytest.raises(RateLimitedError, match="client 'one'"):
        use(quota, 1, 1, "one")
    use(quota, 2, 20, "two")
    with pytest.raises(RateLimitedError, match="namespace 'default'"):
        use(quota, 1, 1, "three")
    assert quota.stats() == {
        "admitted": 2,
        "refused": 2,
        "texts left (client, least)": 0,
        "tokens left (namespace default)": 0,
    }


def test_it_survives_a_restart(make: Make) -> None:
    first = make(texts=10)
    use(first, 6)
    first.close()
    second = make(texts=10)
    use(second, 4)
    with pytest.raises(RateLimitedError):
        use(second)


def test_a_killed_daemon_forgets_seconds(make: Make, clock: Clock) -> None:
    first = make(texts=100)
    for _ in range(20):
        use(first, 1)
        clock.now += 1
        first.stats()
    lost = make(texts=100).stats()["texts left (client, least)"]
    assert isinstance(lost, int)
    assert 80 <= lost <= 80 + SAVE_S


def test_the_figures_alone_write_what_is_due(make: Make, clock: Clock) -> None:
    first = make(texts=100)
    use(first, 40)
    clock.now += SAVE_S
    first.stats()
    assert make(texts=100).stats()["texts left (client, least)"] == 60


def test_yesterdays_file_is_not_todays(make: Make, clock: Clock) -> None:
    first = make(texts=10)
    use(first, 10)
    first.close()
    clock.now += 86_400
    use(make(texts=10), 10)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\x00" * 200, b'{"day":3}', b'{"day":"2026-03-10","client":[1]}']
)
def test_a_damaged_file_is_set_aside_and_told(
    make: Make, file: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(content)
    quota = make(texts=10)
    use(quota, 10)
    assert file.with_name("quota.json.damaged").read_bytes() == content
    assert "is damaged" in caplog.text
    quota.close()
    with pytest.raises(RateLimitedError):
        use(make(texts=10))


def test_a_file_that_cannot_be_written_is_told_and_limits_go_on(
    make: Make, file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    quota = make(texts=3)
    file.with_name("quota.json.new").mkdir()
    for _ in range(3):
        clock.now += SAVE_S
        use(quota)
    with pytest.raises(RateLimitedError):
        use(quota)
    assert str(quota.stats()["problem"]).startswith("not written: ")
    assert caplog.text.count("cannot be written") == 1
    file.with_name("quota.json.new").rmdir()
    clock.now += SAVE_S
    assert "problem" not in quota.stats()
    assert file.exists()


def test_what_computed_nothing_costs_nothing(make: Make) -> None:
    quota = make(texts=10, tokens=100)
    for status in ("cancelled", "failed", "limited"):
        ticket = quota.acquire(sample_demand(texts=10, tokens=100))
        quota.report(ticket, sample_outcome(status))
    use(quota, 10, 100)


def test_tokens_are_settled_with_what_the_model_counted(make: Make) -> None:
    quota = make(tokens=100)
    quota.report(quota.acquire(sample_demand(tokens=100)), sample_outcome(tokens=20))
    quota.report(quota.acquire(sample_demand(tokens=10)), sample_outcome(tokens=90))
    with pytest.raises(RateLimitedError):
        quota.acquire(sample_demand(tokens=1))


def test_work_that_ends_after_midnight_belongs_to_its_day(make: Make, clock: Clock) -> None:
    quota = make(texts=10, tokens=100)
    ticket = quota.acquire(sample_demand(texts=10, tokens=100))
    clock.now += 86_400
    use(quota, 10, 100)
    quota.report(ticket, sample_outcome("cancelled"))
    with pytest.raises(RateLimitedError):
        use(quota)


def test_a_clock_that_is_set_back_gives_no_second_day(make: Make, clock: Clock) -> None:
    quota = make(texts=10)
    use(quota, 10)
    clock.now -= 86_400
    with pytest.raises(RateLimitedError) as caught:
        use(quota)
    assert caught.value.retry_after_ms == 36 * 3_600 * 1_000


def test_a_limiter_that_is_closed_writes_no_more(make: Make, clock: Clock, file: Path) -> None:
    quota = make(texts=10)
    ticket = quota.acquire(sample_demand())
    quota.close()
    file.unlink()
    clock.now += 100
    quota.report(ticket, sample_outcome("cancelled"))
    quota.close()
    assert not file.exists()


def test_of_too_many_names_those_that_used_least_are_forgotten() -> None:
    ledger = Ledger("2026-03-10")
    ledger.used("client", "greedy").tokens = 10_000
    for number in range(3 * MOST_NAMES):
        ledger.used("client", str(number)).tokens += 1
    assert len(ledger.client) <= MOST_NAMES
    assert ledger.used("client", "greedy").tokens == 10_000


@pytest.mark.usefixtures("in_new_york")
@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25)])
def test_a_local_day_is_as_long_as_it_is(day: str, hours: int) -> None:
    begins = datetime.fromisoformat(day).timestamp()
    assert day_ends_at(day, "local") - begins == hours * 3_600
    assert day_of(begins, "local") == day
    assert day_of(day_ends_at(day, "local") - 1, "local") == day
    assert day_of(day_ends_at(day, "local"), "local") > day


def test_without_an_allowance_it_is_not_needed(make: Make, file: Path) -> None:
    assert not make().is_needed
    assert make(tokens=1).is_needed
    settings = QuotaSettings(namespace={"team": Allowance(texts=1)})
    assert DailyQuota(settings, file, LOG).is_needed


@given(
    demands=st.lists(
        st.tuples(st.integers(1, 30), st.integers(1, 300), st.floats(0, 1), st.booleans()),
        max_size=60,
    )
)
def test_no_day_sees_more_than_the_allowance(
    demands: list[tuple[int, int, float, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    clock = Clock()
    settings = QuotaSettings(midnight="utc", client=Allowance(texts=100, tokens=1_000))
    file = tmp_path_factory.mktemp("quota") / "quota.json"
    quota = DailyQuota(settings, file, LOG, clock)
    texts = tokens = 0
    for wanted_texts, wanted_tokens, share, is_restart in demands:
        if is_restart:
            quota.close()
            quota = DailyQuota(settings, file, LOG, clock)
        try:
            demand = sample_demand(texts=wanted_texts, tokens=wanted_tokens)
            ticket = quota.acquire(demand)
        except RateLimitedError:
            continue
        used = max(int(wanted_tokens * share), 1)
        quota.report(ticket, sample_outcome(tokens=used))
        texts, tokens = texts + wanted_texts, tokens + used
        assert texts <= 100
        assert tokens <= 1_000


def test_a_client_is_told_how_near_it_is_to_its_allowance(make: Make, clock: Clock) -> None:
    quota = make(texts=10, tokens=1_000)
    assert isinstance(quota, ClientLimits)
    use(quota, 7, 20)

    def standing() -> ClientLimit | None:
        return quota.client_limits([("one", "default")])[0]

    assert standing() == ClientLimit(state="free", used_ratio=0.7, limit="texts a day")
    use(quota, 1, 20)
    assert standing() == ClientLimit(state="near", used_ratio=0.8, limit="texts a day")
    use(quota, 2, 20)
    assert standing() == ClientLimit(
        state="limited", used_ratio=1.0, retry_after_s=12 * 3_600.0, limit="texts a day"
    )
    others = quota.client_limits([(f"client {number}", "default") for number in range(3)])
    assert [other and other.state for other in others] == ["free"] * 3
    clock.now += 12 * 3_600
    assert standing() == ClientLimit(state="free", limit="texts a day")
