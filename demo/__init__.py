"""``make demo``: a real Airflow runs jobs in an emulated AWS, and cancels what is no longer wanted.

Checked here, before anything else is imported, is what would otherwise end in a traceback.
"""

import importlib.util
import signal
import sys

if sys.version_info < (3, 10):  # noqa: UP036 - the reader may have another Python than the project
    sys.exit("The demo needs Python 3.10 or newer; this is Python %d.%d." % sys.version_info[:2])  # noqa: UP031

# Ctrl-C while the imports below take their second.
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))

for _name in ("airflow", "aiobotocore", "moto", "rich"):
    if importlib.util.find_spec(_name) is None:
        sys.exit(f"{_name} is not installed for this Python; 'make demo' installs what the demo needs.")
