{#-
  Who has changed the files in a bucket. The event data store must have the bucket's S3 data events.

  The day before the run is due: run_after is there in every run, whereas the logical date and the data interval
  are missing in runs that are triggered by hand, and are a moment in Airflow 3's scheduled runs. It ends an hour
  earlier, because events take minutes to arrive; the days of two scheduled runs join without a gap.

  bucket and event_data_store are constants in the DAG's file. Whatever stands here is executed: nothing that
  somebody outside can set, a param say, belongs in it.
-#}
{%- set end = dag_run.run_after - macros.timedelta(hours=1) -%}
{%- set begin = end - macros.timedelta(days=1) -%}
SELECT coalesce(userIdentity.arn, userIdentity.invokedBy, 'unknown') AS who,
  eventName AS what, count(*) AS times
FROM {{ event_data_store }}
WHERE eventTime >= '{{ begin.strftime('%Y-%m-%d %H:%M:%S') }}'
  AND eventTime < '{{ end.strftime('%Y-%m-%d %H:%M:%S') }}'
  AND eventSource = 's3.amazonaws.com'
  AND eventName IN (
    'PutObject', 'CompleteMultipartUpload', 'CopyObject',
    'DeleteObject', 'DeleteObjects'
  )
  AND element_at(requestParameters, 'bucketName') = '{{ bucket }}'
GROUP BY userIdentity.arn, userIdentity.invokedBy, eventName
ORDER BY times DESC
