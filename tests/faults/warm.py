"""Imported by the server that children are forked from: what is loaded here, they have."""

from processes import warm_up

warm_up()
