"""The embedded Argilla: a launcher that runs in the engine's environment, and the app's handle on it (`service.py`).

`launcher.py` loads this folder as a package of its own name, so its modules import each other relatively and nothing
from the app; only `service.py` belongs to the app's environment.
"""
