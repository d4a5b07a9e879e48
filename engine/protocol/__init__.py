"""RESP, numbers, quoting, glob patterns and error replies: functions on bytes, independent of the server."""
