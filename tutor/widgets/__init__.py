"""The pieces the screens are put together from. A widget knows typed messages and plain data, never a server."""
