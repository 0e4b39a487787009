"""The protocol of Exosphere's state manager, version v0."""
