"""The embedded Argilla: a launcher that runs in the engine's environment; `pipeline/review/service.py` starts it.

`launcher.py` loads this folder as a package of its own name, so its modules import each other relatively and nothing
from the app.
"""
