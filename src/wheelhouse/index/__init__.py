"""A package index: projects and files in a store, and the pages of the Simple API that follow from them.

`model` says what there is, `store` where it is kept (`folder`, `bucket`), `repository` how it changes, `render` how it
reads, `verify` whether it is true.
"""
