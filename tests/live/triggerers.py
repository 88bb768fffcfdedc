"""Two triggerers: one that hangs, and which of them has a task's trigger."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.cell import Cell
    from tests.live.cells import Cells
    from tests.live.postgres import PostgresServer


def freeze(cells: Cells, postgres: PostgresServer, name: str) -> None:
    """Freeze a triggerer, but not in a transaction, whose locks could stop the rest of Airflow, too."""
    component = cells.airflow.components[name]

    def frozen() -> bool | None:
        component.signal(signal.SIGSTOP, whole=True)
        if not postgres.has_transaction_of(component.processes()):
            return True
        component.signal(signal.SIGCONT, whole=True)
        return None

    cells.airflow.wait_until(frozen, 60, lambda: f"{name} is in a transaction whenever one looks.", name)


def defer_on_the_first(
    cells: Cells, postgres: PostgresServer, *starts: tuple[str, str]
) -> tuple[list[Cell], ...]:
    """Defer tasks whose triggers are the first triggerer's: the quicker one would take most of them.

    :param starts: as of ``cells.start_all``.
    """
    freeze(cells, postgres, "triggerer-2")
    try:
        return cells.start_all(*starts)
    finally:
        cells.airflow.kill("triggerer-2", signal.SIGCONT, whole=True)


def triggerer_of(cell: Cell) -> int | None:
    """Return which triggerer has the task's trigger, as the database knows it."""
    trigger = cell.airflow.task_instance(cell.dag_id, cell.run_id, "job", cell.map_index)["trigger"]
    return int(trigger["triggerer_id"]) if trigger and trigger["triggerer_id"] else None


def has_moved(cells: Cells, waiting: list[Cell], by: Callable[[], None]) -> None:
    """Do something to a triggerer, and wait until its triggers are another one's."""
    before = {triggerer_of(cell) for cell in waiting}
    assert len(before) == 1
    by()

    def moved() -> bool | None:
        now = {triggerer_of(cell) for cell in waiting}
        return True if len(now) == 1 and now.isdisjoint({None, *before}) else None

    cells.airflow.wait_until(moved, 120, lambda: "The triggers do not move.", "triggerer-2")
