"""What is not asked for all day, by Starlette: uploads, stages, changes, trusted publishing, health.

`site` is what all of them share.
"""
