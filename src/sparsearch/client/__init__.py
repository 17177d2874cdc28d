"""Clients of the HTTP service, with the verbs of `Index`."""

from sparsearch.client.client import AsyncClient, AsyncCollection, Client, RemoteCollection

__all__ = ["AsyncClient", "AsyncCollection", "Client", "RemoteCollection"]
