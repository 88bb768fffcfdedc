"""aiobotocore inside moto's ``mock_aws``.

moto answers botocore's event ``before-send``, and aiobotocore has that event, too; but the answer is
botocore's, and cannot be awaited (getmoto/moto#8694, aio-libs/aiobotocore#1320).
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from aiobotocore import endpoint
from aiobotocore.awsrequest import AioAWSResponse


def install_aio() -> None:
    """Let aiobotocore take moto's answers; a second call changes nothing."""
    convert: Any = endpoint.convert_to_response_dict
    if hasattr(convert, "__wrapped__"):
        return

    @wraps(convert)
    async def converted(http_response: Any, operation_model: Any) -> Any:
        if not isinstance(http_response, AioAWSResponse):
            answer: Any = AioAWSResponse(
                http_response.url, http_response.status_code, http_response.headers, http_response.raw
            )
            answer._content = http_response.content  # noqa: SLF001 - where both classes keep what was read
            http_response = answer
        return await convert(http_response, operation_model)

    endpoint.convert_to_response_dict = converted
