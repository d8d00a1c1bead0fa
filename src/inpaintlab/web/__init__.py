"""A local page with a mask and an edge editor, its HTTP interface, and blind comparisons."""

from inpaintlab.web.choices import COLUMNS, Log
from inpaintlab.web.guards import Door, is_loopback, new_token
from inpaintlab.web.listening import address, listening_socket, run
from inpaintlab.web.methods import Offered
from inpaintlab.web.server import Limits, Server
from inpaintlab.web.study import Study, read_contender

__all__ = [
    "COLUMNS",
    "Door",
    "Limits",
    "Log",
    "Offered",
    "Server",
    "Study",
    "address",
    "is_loopback",
    "listening_socket",
    "new_token",
    "read_contender",
    "run",
]
