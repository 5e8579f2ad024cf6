"""Files to and from a host: what the near end does for ``push`` and ``pull``."""
