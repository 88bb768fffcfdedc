"""What Airflow's registry of providers shows. It is read in every Airflow process: it imports nothing."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_jobs_provider"
_DOCS = "https://docs.aws.amazon.com"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, by the schema of Airflow's ``provider.yaml``."""
    return {
        "package-name": "airflow-jobs-provider",
        "name": "AWS jobs",
        "description": (
            "Starts AWS jobs, waits for them without holding a worker, and cancels them with their task."
        ),
        "integrations": [
            {
                "integration-name": "Amazon QuickSight SPICE",
                "external-doc-url": f"{_DOCS}/quicksight/latest/user/spice.html",
                "tags": ["aws"],
            },
        ],
        "operators": [
            {
                "integration-name": "Amazon QuickSight SPICE",
                "python-modules": [f"{_PACKAGE}.operators.quicksight"],
            },
        ],
        "sensors": [
            {
                "integration-name": "Amazon QuickSight SPICE",
                "python-modules": [f"{_PACKAGE}.sensors.quicksight"],
            },
        ],
        "hooks": [
            {"integration-name": "Amazon QuickSight SPICE", "python-modules": [f"{_PACKAGE}.hooks.aws_job"]},
        ],
        "triggers": [
            {
                "integration-name": "Amazon QuickSight SPICE",
                "python-modules": [f"{_PACKAGE}.triggers.aws_job"],
            },
        ],
        "extra-links": [f"{_PACKAGE}.links.aws_job.AwsJobLink"],
    }
