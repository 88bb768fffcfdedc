"""The rows of the kill matrix, by what happens to the task; ``tests/live/test_kill_matrix.py`` runs them."""
