"""What the shared client's parser makes of answers."""

from __future__ import annotations

from typing import Any

import pytest
from aiobotocore.parsers import PROTOCOL_PARSERS
from botocore.model import ServiceModel

from airflow_jobs_provider.hooks.lean import _LeanParsers
from airflow_jobs_provider.hooks.models import LeanLoader


@pytest.mark.parametrize(
    ("service", "operation", "protocol"),
    [("quicksight", "DescribeIngestion", "rest-json"), ("cloudtrail", "DescribeQuery", "json")],
)
@pytest.mark.parametrize("body", [b"<html>Please sign in</html>", b"", b'{"QueryStatus": '])
async def test_what_is_no_json_is_read_as_botocore_reads_it(
    service: str, operation: str, protocol: str, body: bytes
) -> None:
    """A proxy that answers with a page of its own, once, must not end all waits: an error that is not
    botocore's ends the trigger, and with it the task.
    """
    loader = LeanLoader(include_default_search_paths=True)
    model = ServiceModel(loader.load_service_model(service, "service-2", None))
    shape = model.operation_model(operation).output_shape
    make: Any = PROTOCOL_PARSERS[protocol]
    lean: Any = _LeanParsers().create_parser(protocol)
    answer = {"body": body, "headers": {}, "status_code": 200}
    assert await _parsed(lean, answer, shape) == await _parsed(make(), answer, shape)


async def _parsed(parser: Any, answer: dict[str, Any], shape: Any) -> Any:
    return await parser.parse(answer, shape)
