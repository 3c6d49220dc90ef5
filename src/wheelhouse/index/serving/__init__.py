"""Requests in, answers out: pages and files at once in `front`, all else by the application in `app`.

`table` puts the routes together; `server` starts and stops all of it.
"""
