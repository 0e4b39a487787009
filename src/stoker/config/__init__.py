"""What a server, a client or the command line is told from outside, and the small files that go with it.

Only the standard library: the supervisor and the command line load this before anything else.
"""

from __future__ import annotations

from stoker.config.dialects import DIALECTS, AuthMode, Exosphere, Heat
from stoker.config.files import (
    ServerFile,
    data_token,
    read_server_file,
    remove_server_file,
    write_server_file,
)
from stoker.config.keys import new_secret_key, new_secret_key_file, secret_key, secret_keys_in
from stoker.config.settings import CONFIG_FILE, Settings, as_environment, handed_on, load

__all__ = [
    "CONFIG_FILE",
    "DIALECTS",
    "AuthMode",
    "Exosphere",
    "Heat",
    "ServerFile",
    "Settings",
    "as_environment",
    "data_token",
    "handed_on",
    "load",
    "new_secret_key",
    "new_secret_key_file",
    "read_server_file",
    "remove_server_file",
    "secret_key",
    "secret_keys_in",
    "write_server_file",
]
