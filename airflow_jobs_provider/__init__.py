"""AWS jobs for Apache Airflow: started once, waited for without a worker, cancelled with their task."""

__version__ = "0.1.0"
