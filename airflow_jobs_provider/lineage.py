"""Tell Airflow's assets and OpenLineage which data a job has read and written, and how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias
from airflow.sdk.definitions.asset import AssetRef

from airflow_jobs_provider.jobs import job_type_of
from airflow_jobs_provider.jobs.lineage import namespace_and_name, uris
from airflow_jobs_provider.jobs.run import JobState
from airflow_jobs_provider.operators.deferral import DeferringOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_jobs_provider.jobs.lineage import Lineage
    from airflow_jobs_provider.jobs.run import JobRun, JobSnapshot


def to_openlineage(asset: Asset, _: object) -> Dataset:
    """Return a job's data, given as an asset, as OpenLineage names it; Airflow's registry knows of this."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    return Dataset(*namespace_and_name(asset.uri))


class LineageOperator(DeferringOperator):
    """Base of what tells which data its job has read and written: start operators and sensors.

    An outlet's event says in its ``extra`` what the job has done; what the author's own code has put there
    stays. An :class:`~airflow.sdk.AssetAlias` among the outlets gets an event of what the job has written,
    unless the author's own code gave it one. OpenLineage's provider, where it is installed, asks by itself.
    """

    # The last reading of a job that has ended: no part of the task's definition.
    _ended: JobSnapshot | None = None

    def check_success(self, run: JobRun, snapshot: JobSnapshot) -> None:
        """Refuse what every operator refuses; keep the reading."""
        self._ended = snapshot
        super().check_success(run, snapshot)

    def post_execute(self, context: Any, result: Any = None) -> None:
        """Complete the events of the task's outlets.

        Airflow calls this in the worker, also after a deferral, when the author's own hooks have run.
        """
        super().post_execute(context, result)
        for outlet in self.outlets:
            try:
                self._complete(context["outlet_events"], outlet)
            except Exception as error:  # noqa: BLE001 - the job has succeeded, and so has the task
                self.log.warning("the event of %s does not tell what the job has done: %r", outlet, error)

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Return what the parameters tell of the job's data. OpenLineage's provider calls this."""
        return self._facets()

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage[Any, Any]:
        """Return what is known of the job and its data when the task has ended, well or not; likewise."""
        return self._facets()

    def _complete(self, events: Any, outlet: object) -> None:
        if isinstance(outlet, (Asset, AssetRef)):
            event = events[outlet]
            event.extra = {**self._extra(), **event.extra}
        elif isinstance(outlet, AssetAlias) and self._ended is not None:
            event = events[outlet]
            if not event.asset_alias_events:
                for uri in uris(self._data.writes, self._values()):
                    event.add(Asset(uri), extra=self._extra())

    def _extra(self) -> dict[str, Any]:
        """Return what an event tells: the job's identity and, once it has ended, its status and figures."""
        run = self.known_job
        if run is None:
            return {}
        named = {"job_type": run.job_type, **run.ids, "region_name": run.region}
        return named if self._ended is None else {**named, "status": self._ended.status, **self._figures()}

    @property
    def _data(self) -> Lineage:
        return (self.job_type if self.known_job is None else job_type_of(self.known_job)).lineage

    def _figures(self) -> dict[str, Any]:
        ended = self._ended
        if ended is None or ended.state is not JobState.SUCCEEDED:
            return {}
        return self._data.count(ended.details)

    def _values(self) -> dict[str, Any]:
        run, ended = self.known_job, self._ended
        given = {key: getattr(self, key) for key in self._operation().parameters}
        given |= {"region": self.region_name} if run is None else {**run.ids, "region": run.region}
        return self._data.values(given, {} if ended is None else ended.details)

    def _facets(self) -> OperatorLineage[Any, Any]:
        # It is installed where anybody asks.
        from airflow.providers.common.compat.openlineage import facet
        from airflow.providers.openlineage.extractors import OperatorLineage

        data, figures, values = self._data, self._figures(), self._values()
        rows, size = figures.get(data.rows or ""), figures.get(data.size or "")
        counted: dict[str, Any] = {}
        if (rows, size) != (None, None):
            counted["outputStatistics"] = facet.OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size)
        told: OperatorLineage[Any, Any] = OperatorLineage(
            inputs=[facet.InputDataset(*namespace_and_name(uri)) for uri in uris(data.reads, values)],
            outputs=[
                facet.OutputDataset(*namespace_and_name(uri), outputFacets=counted)
                for uri in uris(data.writes, values)
            ],
        )
        if self.known_job is not None:
            told.run_facets["externalQuery"] = facet.ExternalQueryRunFacet(
                externalQueryId=self.known_job.ids[data.id],
                source=job_type_of(self.known_job).service,
            )
        return told
