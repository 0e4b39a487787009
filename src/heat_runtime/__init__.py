"""The HEAT runtime for Python: subclass `BaseProcessor`, register the class, call `HeatRuntime().init()`.

A thin facade over `stoker.runner`. It imports neither pandas, nor the server, nor the SDK of a cloud, and the network
only where a server is named.
"""

from heat_runtime.dialect import NotServed
from heat_runtime.processor import BaseProcessor
from heat_runtime.runtime import HeatRuntime

__all__ = ["BaseProcessor", "HeatRuntime", "NotServed"]
