from __future__ import annotations

import msgspec
import pytest
from dashboard_support import NOW, SNAPSHOTS, changed, dashboard_of, past

from emberd.wire.snapshot import ClientStats, Snapshot
from emberd_tui.client_order import client_order, smooth_rates
from emberd_tui.dashboard import Dashboard
from emberd_tui.frame import WINDOWS_S
from emberd_tui.states import Live, Lost


def with_clients(*clients: ClientStats) -> Snapshot:
    return msgspec.structs.replace(SNAPSHOTS[0], clients=list(clients))


def client(ident: int, rate: float = 0.0, **fields: object) -> ClientStats:
    return msgspec.structs.replace(
        ClientStats(id=ident, name=f"c{ident}", texts_per_s=rate), **fields
    )


def test_the_right_edge_is_the_last_snapshot_while_live_and_now_when_lost() -> None:
    dashboard = dashboard_of(past())
    assert dashboard.frame(NOW + 0.7).now == NOW
    dashboard.take(Lost("gone", NOW + 5))
    assert dashboard.frame(NOW + 3).now == NOW + 3


def test_the_last_snapshot_stays_when_the_connection_goes() -> None:
    dashboard = dashboard_of([*past(), Lost("gone", NOW + 1)])
    assert dashboard.frame(NOW).snapshot == SNAPSHOTS[-1]
    assert not dashboard.is_live


def test_a_frozen_picture_holds_still_while_figures_are_collected() -> None:
    dashboard = dashboard_of(past())
    dashboard.toggle_freeze()
    dashboard.take(Live(changed(SNAPSHOTS[0], pid=99), NOW + 1))
    frozen = dashboard.frame(NOW + 1)
    assert (frozen.now, frozen.snapshot, frozen.is_frozen) == (NOW, SNAPSHOTS[-1], True)
    dashboard.toggle_freeze()
    live = dashboard.frame(NOW + 1)
    assert live.snapshot is not None
    assert (live.now, live.snapshot.daemon.pid, live.is_frozen) == (NOW + 1, 99, False)
    assert live.history.sample_at(NOW + 1) is not None


def test_a_frozen_picture_still_tells_that_the_connection_is_lost() -> None:
    dashboard = dashboard_of(past())
    dashboard.toggle_freeze()
    dashboard.take(Lost("gone", NOW + 5))
    assert isinstance(dashboard.frame(NOW + 2).state, Lost)
    assert dashboard.frame(NOW + 2).clock == NOW + 2


def test_there_is_nothing_to_freeze_before_the_first_snapshot() -> None:
    dashboard = Dashboard()
    dashboard.toggle_freeze()
    assert not dashboard.frame(NOW).is_frozen


def test_zooming_stops_at_both_ends() -> None:
    dashboard = dashboard_of(past())
    dashboard.zoom(-1)
    assert dashboard.window_s == WINDOWS_S[0]
    for _ in range(9):
        dashboard.zoom(1)
    assert dashboard.window_s == WINDOWS_S[-1]


def test_zooming_fits_the_axes_at_once() -> None:
    dashboard = dashboard_of(past())
    before = dashboard.frame(NOW).throughput_axis
    quiet = msgspec.structs.replace(SNAPSHOTS[0].texts, hits_per_s=3.0, computed_per_s=0.0)
    for second in range(1, 10):
        dashboard.take(Live(msgspec.structs.replace(SNAPSHOTS[0], texts=quiet), NOW + second))
    assert dashboard.frame(NOW + 9).throughput_axis.high == before.high
    for second in range(10, 100):
        dashboard.take(Live(msgspec.structs.replace(SNAPSHOTS[0], texts=quiet), NOW + second))
    assert dashboard.frame(NOW + 99).throughput_axis.high == 10
    dashboard.zoom(1)
    assert dashboard.frame(NOW + 99).throughput_axis == before


def test_zooming_works_on_a_frozen_picture() -> None:
    dashboard = dashboard_of(past())
    dashboard.toggle_freeze()
    dashboard.zoom(1)
    assert dashboard.frame(NOW).window_s == WINDOWS_S[1]
    dashboard.toggle_freeze()
    assert dashboard.frame(NOW).window_s == WINDOWS_S[1]


def test_clients_do_not_change_places_every_second() -> None:
    dashboard = dashboard_of([Live(with_clients(client(1, 9), client(2, 5)), NOW)])
    dashboard.take(Live(with_clients(client(1, 1), client(2, 5)), NOW + 1))
    assert dashboard.frame(NOW).client_order == (1, 2)


def test_clients_are_sorted_anew_after_a_while() -> None:
    dashboard = Dashboard()
    for second in range(20):
        rate = 9 if second == 0 else 1
        dashboard.take(Live(with_clients(client(1, rate), client(2, 5)), NOW + second))
    assert dashboard.frame(NOW).client_order == (2, 1)


def test_a_new_client_is_there_at_once_and_one_that_left_is_gone() -> None:
    dashboard = dashboard_of([Live(with_clients(client(1, 9), client(2, 5)), NOW)])
    dashboard.take(Live(with_clients(client(2, 5), client(3, 7)), NOW + 1))
    assert set(dashboard.frame(NOW).client_order) == {2, 3}


def test_a_burst_does_not_throw_a_steady_client_from_its_place() -> None:
    rates: dict[int, float] = {}
    for burst in (0, 0, 0, 100):
        rates = smooth_rates(rates, with_clients(client(1, 60), client(2, burst)))
    assert client_order(with_clients(client(1, 60), client(2, 100)).clients, "rate", rates) == (
        1,
        2,
    )


@pytest.mark.parametrize(
    ("sort", "order"),
    [("rate", (1, 2, 3)), ("hit", (3, 1, 2)), ("p99", (2, 3, 1)), ("name", (2, 3, 1))],
)
def test_clients_sort_by_each_column(sort: str, order: tuple[int, ...]) -> None:
    clients = [
        client(1, 30, hit_ratio=0.5, p99_ms=1.0, name="zed"),
        client(2, 20, hit_ratio=0.1, p99_ms=9.0, name="atom"),
        client(3, 10, hit_ratio=0.9, p99_ms=5.0, name="nvim"),
    ]
    assert client_order(clients, sort, {}) == order  # type: ignore[arg-type]


def test_idle_clients_stay_in_the_order_of_their_names() -> None:
    assert client_order([client(3), client(1), client(2)], "rate", {}) == (1, 2, 3)


def test_the_cursor_goes_to_the_past_and_comes_back_to_now() -> None:
    dashboard = dashboard_of(past())
    dashboard.move_cursor(-1)
    dashboard.move_cursor(-1)
    assert dashboard.frame(NOW).cursor_s == pytest.approx(2.0)
    for _ in range(3):
        dashboard.move_cursor(1)
    assert dashboard.frame(NOW).cursor_s is None
    for _ in range(99):
        dashboard.move_cursor(-1)
    assert dashboard.frame(NOW).cursor_s == pytest.approx(60.0)


def test_closing_closes_the_overlay_first_and_then_the_cursor() -> None:
    dashboard = dashboard_of(past())
    dashboard.move_cursor(-1)
    dashboard.toggle_overlay("help")
    assert dashboard.close()
    assert dashboard.frame(NOW).overlay == ""
    assert dashboard.frame(NOW).cursor_s is not None
    assert dashboard.close()
    assert dashboard.frame(NOW).cursor_s is None
    assert not dashboard.close()
