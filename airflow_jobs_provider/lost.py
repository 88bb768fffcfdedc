"""The job of a start that was never answered, and that no token tells: looked for in what the API lists.

No input or output: the search is a generator of :mod:`~airflow_jobs_provider.steps`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any

import jmespath

from airflow_jobs_provider.exceptions import AwsApiError
from airflow_jobs_provider.jobs.errors import ErrorKind
from airflow_jobs_provider.jobs.model import JobType
from airflow_jobs_provider.jobs.parts import Search
from airflow_jobs_provider.jobs.run import JobRun, JobState
from airflow_jobs_provider.steps import Log, ReadPage, Steps
from airflow_jobs_provider.waiting import until_certain
from airflow_jobs_provider.watch import Errors

# Where the comment, or the label that we have made, stands among what a start has sent of its own.
COMMENT = "comment"
# Seconds by which a worker's clock may be ahead of the service's. Without a comment, a larger margin would
# take jobs that others started shortly before; a smaller one only finds less.
_SKEW = 10.0
# The same where a comment tells whose job it is: AWS refuses requests of clocks that are further off.
_SKEW_WITH_COMMENT = 300.0
# Seconds within which a start was carried out: it may have been asked for again for two minutes. What was
# created later is somebody else's.
_WITHIN = 600.0


@dataclass(frozen=True)
class LostStart:
    """A start that was never answered.

    :param values: what it asked for, by our names.
    :param sent: what of it was its try's own: the comment, and what the list must be told.
    :param since: when it was asked for (seconds since the epoch).
    :param has_siblings: the task is mapped: others may ask for the same at the same time.
    :ivar ruled_out: the ids of jobs that are certainly another start's, and stay so: in an account that runs
        many, only what is new is read when the list is looked through again.
    """

    job_type: JobType
    values: Mapping[str, Any]
    sent: Mapping[str, str]
    since: float
    region: str
    has_siblings: bool
    ruled_out: set[frozenset[tuple[str, str]]] = field(default_factory=set, init=False, compare=False)

    @property
    def can_be_found(self) -> bool:
        """Whether a list can tell which job it has started."""
        search = self.job_type.search
        needed = () if search is None or search.text is None else (COMMENT, *search.within)
        return search is not None and all(name in self.sent for name in needed)


@dataclass(frozen=True)
class Found:
    """What a search of the list has found.

    :param run: the job that is certainly the start's.
    :param left_alone: those that may be, and that nobody must touch for that.
    :param because: why not, in words.
    :param final: another search would find the same.
    :param unheard: AWS has not answered yet, and may answer the same question later.
    """

    run: JobRun | None = None
    left_alone: tuple[JobRun, ...] = ()
    because: str = ""
    final: bool = False
    unheard: bool = False


def commented(
    job_type: JobType, values: Mapping[str, Any], text: str
) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Return a start's parameters with a comment, and what finds its job by it; as they are, without room."""
    with_comment = job_type.with_comment(values, text)
    if with_comment is None:
        return values, {}
    return with_comment, {COMMENT: text, **job_type.told_within(values)}


def search_for(
    start: LostStart, *, log: Log, patience: float, is_over: Callable[[], bool] = lambda: False
) -> Steps[Found]:
    """Look once through the list, at the jobs first that were created when the start was asked for.

    A job is the start's if it has its comment. Without comments it must be the only one that does what was
    asked for and was created since, and no sibling of a mapped task may have asked for the same.

    :param patience: seconds in which errors that may pass are survived, and after which only one more job is
        read. One that has the comment is the start's also if others were not read; without comments none is.
    :param is_over: whether the start was answered after all: no more is read then, as a list may be long.
    :raises AwsApiError: for an error that does not pass; the right to list may be missing.
    """
    job_type = start.job_type
    search = job_type.search
    assert search is not None  # noqa: S101 - asked before: can_be_found
    end = time.monotonic() + patience
    errors = Errors(f"the list of jobs on {job_type.describe_target(start.values)}", log)
    matches: list[tuple[JobRun, Mapping[str, Any]]] = []
    all_read = True
    candidates = yield from _candidates(start, search, errors, patience, is_over)
    for number, (run, listed) in enumerate(candidates):
        if is_over():
            break
        left = end - time.monotonic()
        if number > 0 and left <= 0 and search.reads:
            all_read = False
            break
        record = yield from _read(search, run, listed, errors, left)
        if not _may_be(start, record):
            start.ruled_out.add(_key(run))
        elif search.text is None or start.sent[COMMENT] in (jmespath.search(search.text, record) or ""):
            matches.append((run, record))
        elif jmespath.search(search.text, record) is not None:
            start.ruled_out.add(_key(run))
    if is_over():
        return Found(because="it was answered meanwhile")
    if not all_read and (search.text is None or not matches):
        late = f"there are more jobs than can be read in {patience:.1f} seconds"
        return Found(None, tuple(run for run, _ in matches), late)
    return _judged(start, matches)


def _candidates(
    start: LostStart, search: Search, errors: Errors, patience: float, is_over: Callable[[], bool]
) -> Steps[list[tuple[JobRun, Mapping[str, Any]]]]:
    """Read the list, and return what may be the start's job, that which is nearest to it in time first."""
    job_type, listing = start.job_type, start.job_type.list_jobs
    assert listing is not None  # noqa: S101 - what has a search has a list
    if search.since is not None:
        moment = datetime.fromtimestamp(_earliest(start, search), timezone.utc)
        listing = replace(listing, constants={**listing.constants, search.since: moment})
    found: list[tuple[float, JobRun, Mapping[str, Any]]] = []
    step: ReadPage | None = ReadPage(listing, {**start.values, **start.sent})
    while step is not None and not is_over():
        page = yield from until_certain(step, errors.survive, patience)
        errors.are_over()
        for listed in page.items:
            run = job_type.run_of(start.values, start.region, listed)
            # Of a dead job nothing is left to be seen to, and the try before may have left one.
            dead = job_type.read_record(listed).state in (JobState.FAILED, JobState.CANCELLED)
            if run is not None and not dead and _key(run) not in start.ruled_out and _may_be(start, listed):
                created = _created(search, listed)
                distance = math.inf if created is None else abs(created - start.since)
                found.append((distance, run, listed))
        too_old = search.newest_first and any(
            (_created(search, listed) or math.inf) < _earliest(start, search) for listed in page.items
        )
        step = ReadPage(listing, step.values, page.token) if page.token and not too_old else None
    return [(run, listed) for _, run, listed in sorted(found, key=itemgetter(0))]


def _read(
    search: Search, run: JobRun, listed: Mapping[str, Any], errors: Errors, patience: float
) -> Steps[dict[str, Any]]:
    """Return what there is to know of a listed job."""
    record = dict(listed)
    ids = {**run.ids, **{name: jmespath.search(path, listed) for name, path in search.ids.items()}}
    for name, operation in search.reads.items():
        try:
            answer = yield from until_certain(ReadPage(operation, ids), errors.survive, patience)
        except AwsApiError as error:
            # Deleted meanwhile, or not there yet: what it would tell is not known.
            if error.meaning is not ErrorKind.NOT_FOUND:
                raise
        else:
            errors.are_over()
            record[name] = answer.answer
    return record


def _key(run: JobRun) -> frozenset[tuple[str, str]]:
    return frozenset(run.ids.items())


def _earliest(start: LostStart, search: Search) -> float:
    """Return when the start's job can have been created at the earliest (seconds since the epoch)."""
    return start.since - (_SKEW if search.text is None else _SKEW_WITH_COMMENT)


def _may_be(start: LostStart, record: Mapping[str, Any]) -> bool:
    """Whether nothing that is known of a job yet says that another start has begun it."""
    search = start.job_type.search
    assert search is not None  # noqa: S101
    created = _created(search, record)
    if created is not None and not _earliest(start, search) <= created <= start.since + _WITHIN:
        return False
    return all(
        start.values.get(name) is None or jmespath.search(path, record) in (None, start.values[name])
        for name, path in search.same.items()
    )


def _judged(start: LostStart, matches: list[tuple[JobRun, Mapping[str, Any]]]) -> Found:
    """Say which of the jobs that may be the start's certainly is."""
    search = start.job_type.search
    assert search is not None  # noqa: S101
    asked = [name for name in start.job_type.start.parameters if start.values.get(name) is not None]
    certain = runs = tuple(run for run, _ in matches)
    if search.text is None:
        # Of others AWS tells too little: of deleted graphs for good, of a young job for a while.
        certain = tuple(run for run, record in matches if _is_told(search, asked, record))
        runs = tuple(run for run, record in matches if run in certain or _is_running(start, record))
    if not runs:
        return Found(None, (), "no job that is listed is its own")
    if len(runs) > 1:
        many = f"{len(runs)} jobs match, and it can have started one only"
        return Found(None, runs, many, final=len(certain) > 1)
    if not certain:
        never = ", ".join(name for name in asked if name not in search.same)
        because = f"with which {never} it was started" if never else "yet what it works on, and since when"
        return Found(None, runs, f"AWS does not tell {because}", final=bool(never))
    if start.has_siblings and search.text is None:
        because = "a task that is mapped beside this one may have started it"
        return Found(None, certain, because, final=True)
    return Found(certain[0])


def _is_running(start: LostStart, record: Mapping[str, Any]) -> bool:
    return not start.job_type.read_record(record).state.is_over


def _is_told(search: Search, asked: list[str], record: Mapping[str, Any]) -> bool:
    """Whether all that was asked for can be compared with a job, and its age with the start's."""
    told = {name for name, path in search.same.items() if jmespath.search(path, record) is not None}
    return told.issuperset(asked) and _created(search, record) is not None


def _created(search: Search, record: Mapping[str, Any]) -> float | None:
    """Return when a job was created (seconds since the epoch), where its record tells."""
    moment = jmespath.search(search.created, record)
    if isinstance(moment, datetime):
        return moment.timestamp()
    return None if moment is None else float(moment) / 1000
