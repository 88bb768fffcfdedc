"""``make screenshots``: the pictures of the documentation, taken of a real Airflow and checked on the way.

Checked here, before anything else is imported, is what would otherwise end in a traceback.
"""

import importlib.util
import sys

for _name in ("airflow", "moto", "playwright", "PIL"):
    if importlib.util.find_spec(_name) is None:
        sys.exit(f"{_name} is not installed for this Python; 'make screenshots' installs what it needs.")
