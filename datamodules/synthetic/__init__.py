"""The generated world: scenes of coloured shapes, written in the official file formats.

Nothing here imports the readers (or anything else of the project): the writers follow the datasets' own documentation,
so that a reader which agrees with them agrees with the documentation and not with a shared mistake.
"""
