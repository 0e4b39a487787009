"""The native API, one file per noun: endpoints (decode, one engine call, encode) and their routes."""
