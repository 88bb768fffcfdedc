"""What Airflow's registry of providers shows. It is read in every Airflow process: it imports nothing."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_jobs_provider"
_DOCS = "https://docs.aws.amazon.com"

# module of operators and of sensors -> the service, and what AWS says about it
_SERVICES = {
    "quicksight": ("Amazon QuickSight SPICE", f"{_DOCS}/quicksight/latest/user/spice.html"),
    "bedrock": ("Amazon Bedrock", f"{_DOCS}/bedrock/latest/userguide/knowledge-base.html"),
    "neptune_analytics": (
        "Amazon Neptune Analytics",
        f"{_DOCS}/neptune-analytics/latest/userguide/what-is-neptune-analytics.html",
    ),
    "cloudtrail": ("AWS CloudTrail Lake", f"{_DOCS}/awscloudtrail/latest/userguide/cloudtrail-lake.html"),
    "logs": (
        "Amazon CloudWatch Logs",
        f"{_DOCS}/AmazonCloudWatch/latest/logs/AnalyzingLogData.html",
    ),
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, by the schema of Airflow's ``provider.yaml``."""
    return {
        "package-name": "airflow-jobs-provider",
        "name": "AWS jobs",
        "description": (
            "Starts AWS jobs, waits for them without holding a worker, and cancels them with their task."
        ),
        "integrations": [
            {"integration-name": name, "external-doc-url": url, "tags": ["aws"]}
            for name, url in _SERVICES.values()
        ],
        "operators": _of_each_service("operators"),
        "sensors": _of_each_service("sensors"),
        "hooks": _shared("hooks.aws_job"),
        "triggers": _shared("triggers.aws_job"),
        "extra-links": [f"{_PACKAGE}.links.aws_job.AwsJobLink"],
    }


def _of_each_service(folder: str) -> list[dict[str, Any]]:
    return [
        {"integration-name": name, "python-modules": [f"{_PACKAGE}.{folder}.{module}"]}
        for module, (name, _) in _SERVICES.items()
    ]


def _shared(module: str) -> list[dict[str, Any]]:
    return [
        {"integration-name": name, "python-modules": [f"{_PACKAGE}.{module}"]}
        for name, _ in _SERVICES.values()
    ]
