"""DAGs of one refresh, for ``benchmarks.tasks``."""
