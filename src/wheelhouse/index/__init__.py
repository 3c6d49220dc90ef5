"""A package index: projects and files in a store, and the pages of the Simple API that follow from them.

`model` says what there is, `store` where it is kept (`folder`, `bucket`), `repository` how it changes, `render` how it
reads, `verify` whether it is true.

`app` answers over HTTP: pages from `catalog`, files by `answers`, all else by `routes`. `auth` decides who may, by the
`scopes` of `tokens`; an `upload` is read as a `form` and looked into as a `wheelfile` or an `sdistfile`.

What a mirror fetched is on a `shelf`, within a budget; `prefetch` fills it ahead of need, resolving over a `loopback`.
`client_config` says how to install from here.
"""
