"""Pages of the AWS console."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

_COMMERCIAL = "aws.amazon.com"


def url(template: str, region: str, ids: Mapping[str, str]) -> str | None:
    """Return a job's page, or ``None`` where we know of none.

    :param template: with ``{region}``, ``{domain}`` and the ids; without ``{domain}`` it holds for the
        ``aws`` partition only.
    """
    domain = _domain(region)
    if domain is None or ("{domain}" not in template and domain != _COMMERCIAL):
        return None
    quoted = {name: quote(value, safe="") for name, value in ids.items()}
    return template.format(region=region, domain=domain, **quoted)


def _domain(region: str) -> str | None:
    if region.startswith("cn-"):
        return "amazonaws.cn"
    if region.startswith("us-gov-"):
        return "amazonaws-us-gov.com"
    # The isolated partitions and the European sovereign cloud have consoles of their own.
    return None if re.match(r"(us|eu)-iso|eusc-", region) else _COMMERCIAL
