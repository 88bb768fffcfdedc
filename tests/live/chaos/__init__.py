"""A storm: jobs of all types, while what runs them is killed, cleared and marked, and AWS fails.

``plan`` says what is to happen, by a seed; ``storm`` does it to a real Airflow and the emulated AWS; then
``judge`` tells what became of every job. ``python -m tests.live.chaos --seconds 600 --seed 7`` prints counts.
"""
