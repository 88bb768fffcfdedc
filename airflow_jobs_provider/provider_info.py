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

# As the job types' lineage has them; handler None: Airflow takes such a URI as it is.
_ASSET_URIS = {
    "schemes": ["bedrock", "cloudtrail", "cloudwatch-logs", "neptune-graph", "quicksight"],
    "handler": None,
    "to_openlineage_converter": f"{_PACKAGE}.lineage.to_openlineage",
}

_CONFIG = {
    _PACKAGE: {
        "description": "Settings of the provider of AWS jobs.",
        "options": {
            "deployment_id": {
                "description": (
                    "The id of this Airflow in the marks that its jobs carry in AWS (QuickSight ingestion\n"
                    "ids and Bedrock job descriptions), by which AwsJobSweepOperator knows them: 1 to 16\n"
                    "small letters, digits or hyphens, with no hyphen at its ends. No two Airflows that\n"
                    "work in the same AWS account may have the same. Without it no job is marked, and\n"
                    "none is swept.\n"
                ),
                "version_added": "0.1.0",
                "type": "string",
                "example": "prod",
                "default": "",
            },
        },
    },
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
        "config": _CONFIG,
        "operators": [*_of_each_service("operators"), *_shared("operators.sweep", "quicksight", "bedrock")],
        "sensors": _of_each_service("sensors"),
        "hooks": _shared("hooks.aws_job", *_SERVICES),
        "triggers": [*_shared("triggers.aws_job", *_SERVICES), *_shared("triggers.task", *_SERVICES)],
        "asset-uris": [_ASSET_URIS],
        "extra-links": [f"{_PACKAGE}.links.aws_job.AwsJobLink"],
    }


def _of_each_service(folder: str) -> list[dict[str, Any]]:
    return [
        {"integration-name": name, "python-modules": [f"{_PACKAGE}.{folder}.{module}"]}
        for module, (name, _) in _SERVICES.items()
    ]


def _shared(module: str, *services: str) -> list[dict[str, Any]]:
    return [
        {"integration-name": _SERVICES[service][0], "python-modules": [f"{_PACKAGE}.{module}"]}
        for service in services
    ]
