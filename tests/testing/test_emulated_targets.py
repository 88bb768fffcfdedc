"""The lists of what jobs work on: data sets, knowledge bases, data sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_jobs_provider.testing import EmulatorServer
from tests.testing.conftest import ACCOUNT, ClientFactory, DataSet
from tests.testing.test_emulated_services import code_of

if TYPE_CHECKING:
    from airflow_jobs_provider.testing import Emulator


def test_data_sets(sales: DataSet, server: EmulatorServer, client: ClientFactory) -> None:
    """A sweep looks at the data sets that the account has, and only at those in SPICE."""
    sales.create()
    DataSet(client(), "returns").create()
    server.emulator.configure("quicksight-ingestion", data_sets={"live": "DIRECT_QUERY", "old": "SPICE"})
    answer = client().list_data_sets(AwsAccountId=ACCOUNT)
    modes = {each["DataSetId"]: each["ImportMode"] for each in answer["DataSetSummaries"]}
    assert modes == {"live": "DIRECT_QUERY", "old": "SPICE", "returns": "SPICE", "sales": "SPICE"}
    assert "NextToken" not in answer
    assert answer["DataSetSummaries"][3]["Arn"] == f"arn:aws:quicksight:eu-west-1:{ACCOUNT}:dataset/sales"
    server.emulator.configure("quicksight-ingestion", missing_targets=["sales", "old"])
    answer = client().list_data_sets(AwsAccountId=ACCOUNT, MaxResults=1)
    rest = client().list_data_sets(AwsAccountId=ACCOUNT, NextToken=answer["NextToken"])
    names = [each["DataSetId"] for page in (answer, rest) for each in page["DataSetSummaries"]]
    assert names == ["live", "returns"]
    assert (
        code_of(client().list_data_sets, AwsAccountId=ACCOUNT, NextToken="x") == "InvalidNextTokenException"
    )
    assert len(server.emulator.journal("ListDataSets")) == 4


def test_knowledge_bases_and_data_sources(server: EmulatorServer, client: ClientFactory) -> None:
    """A sweep looks at every data source of every knowledge base of the account."""
    bedrock = client("bedrock-agent")
    bedrock.start_ingestion_job(knowledgeBaseId="KB00000001", dataSourceId="DS00000001")
    known = {"KB00000001": ["DS00000002"], "KB00000002": []}
    server.emulator.configure("bedrock-ingestion", knowledge_bases=known)
    bases = bedrock.list_knowledge_bases()
    assert [each["knowledgeBaseId"] for each in bases["knowledgeBaseSummaries"]] == sorted(known)
    first = bedrock.list_data_sources(knowledgeBaseId="KB00000001", maxResults=1)
    rest = bedrock.list_data_sources(knowledgeBaseId="KB00000001", nextToken=first["nextToken"])
    names = [each["dataSourceId"] for page in (first, rest) for each in page["dataSourceSummaries"]]
    assert names == ["DS00000001", "DS00000002"]
    assert bedrock.list_data_sources(knowledgeBaseId="KB00000002")["dataSourceSummaries"] == []
    server.emulator.configure("bedrock-ingestion", missing_targets=["KB00000001"])
    bases = bedrock.list_knowledge_bases()
    assert [each["knowledgeBaseId"] for each in bases["knowledgeBaseSummaries"]] == ["KB00000002"]
    assert code_of(bedrock.list_data_sources, knowledgeBaseId="KB00000001") == "ResourceNotFoundException"


def test_what_was_made_in_moto_is_listed(installed: Emulator, client: ClientFactory) -> None:
    """A test that makes a data set or a knowledge base, as moto's users do, must find it."""
    import boto3
    from moto import mock_aws

    with mock_aws():
        quicksight: Any = boto3.client("quicksight", region_name="us-east-1")
        quicksight.create_data_set(
            AwsAccountId=ACCOUNT, DataSetId="made", Name="made", PhysicalTableMap={}, ImportMode="SPICE"
        )
        answer = quicksight.list_data_sets(AwsAccountId=ACCOUNT)
        assert [each["DataSetId"] for each in answer["DataSetSummaries"]] == ["made"]
        bedrock: Any = boto3.client("bedrock-agent", region_name="us-east-1")
        made = bedrock.create_knowledge_base(
            name="made",
            roleArn="arn:aws:iam::123456789012:role/kb",
            knowledgeBaseConfiguration={"type": "VECTOR"},
            storageConfiguration={"type": "PINECONE"},
        )["knowledgeBase"]
        bases = bedrock.list_knowledge_bases()["knowledgeBaseSummaries"]
        assert [each["knowledgeBaseId"] for each in bases] == [made["knowledgeBaseId"]]


@pytest.mark.parametrize(
    ("job_type", "settings"),
    [
        ("quicksight-ingestion", {"data_sets": {"sales": "LIVE"}}),
        ("quicksight-ingestion", {"data_sets": ["sales"]}),
        ("bedrock-ingestion", {"knowledge_bases": {"KB00000001": "DS00000001"}}),
    ],
)
def test_bad_settings_are_refused(server: EmulatorServer, job_type: str, settings: dict[str, Any]) -> None:
    """A setting that means nothing would make a test prove nothing."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        server.emulator.configure(job_type, **settings)
