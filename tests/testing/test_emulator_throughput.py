"""The cost of a call stays the same, however many jobs there are."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

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

    def steps() -> int:
        """Return how many instructions a read takes: unlike seconds, they are the same in every run."""
        count = 0

        def trace(frame: FrameType, _event: str, _argument: object) -> Any:
            nonlocal count
            frame.f_trace_opcodes = True
            count += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            job = state.find(INGESTION, "1", "r", "1", "d", "i7")
            assert job is not None
            job.record(0.0)
        finally:
            sys.settrace(before)
        return count

    start(0, 10)
    few = steps()
    start(10, 10_000)
    assert steps() == few > 10
