"""Other indexes behind ours, mirrored on demand: PyPI, or any that speaks the Simple API.

`rules` decide what may be asked, `client` asks, `page` reads what comes, `pages` and `files` keep it, `combine` puts it
together with what is ours, and `mirror` is all of that for the rest of the index.
"""
