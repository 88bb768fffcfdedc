"""Many waits in one process, beside the amazon provider's: ``make bench``."""
