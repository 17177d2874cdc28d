"""The HTTP service: collections of documents searched, changed and watched over HTTP.

`run_server` in `sparsearch.serve.server` runs it, `create_app` in `sparsearch.serve.app` makes it
for another ASGI server. Both need the extra ``serve``; settings and API keys do not.
"""

from sparsearch.serve.config import Limits, ServeConfig
from sparsearch.serve.keys import Key, KeyFile

__all__ = ["Key", "KeyFile", "Limits", "ServeConfig"]
