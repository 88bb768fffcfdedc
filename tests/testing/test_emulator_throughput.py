"""The cost of a call stays the same, however many jobs there are."""

from __future__ import annotations

import time

from airflow_jobs_provider.testing import Emulator, ManualClock
from airflow_jobs_provider.testing.quicksight import INGESTION


def test_a_read_does_not_look_at_all_jobs() -> None:
    """Ten thousand waits would make every poll slower, and the emulator the bottleneck of a benchmark."""
    state = Emulator(clock=ManualClock())

    def start(first: int, last: int) -> None:
        for number in range(first, last):
            ids = {"AwsAccountId": "1", "DataSetId": "d", "IngestionId": f"i{number}"}
            state.start(
                INGESTION, account="1", region="r", ids=ids, target=("d",), parameters={"DataSetId": "d"}
            )

    def reads() -> float:
        began = time.perf_counter()
        for _ in range(2000):
            job = state.find(INGESTION, "1", "r", "1", "d", "i7")
            assert job is not None
            job.record(0.0)
        return time.perf_counter() - began

    start(0, 10)
    few = min(reads() for _ in range(3))
    start(10, 10_000)
    many = min(reads() for _ in range(3))
    assert many < 5 * few
