"""Where bytes are kept: blobs by their sha256 and one manifest a project, in a folder or in a bucket.

`store` is the protocol; `opening` turns an address into one; `guarded` and `cached` stand before one that can be down.
"""
