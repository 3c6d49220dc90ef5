"""What is done to the files of an index: taken in, looked into, staged, yanked, deleted; each one swap of one manifest.

Begin with `repository`; `upload` is how files come to it, `verify` whether what it holds is true.
"""
