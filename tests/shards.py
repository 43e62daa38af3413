"""Tar shards to test with."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

Files = Iterable[tuple[str, bytes]]  # names and contents


def pack(path: Path, files: Files, form: int = tarfile.PAX_FORMAT) -> Path:
    """A shard of some files, in their order; a path in form of the POSIX headers as `webdataset` writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1.5  # a fraction makes a header of the header
            archive.addfile(info, io.BytesIO(content))
    return path


def pack_folder(folder: Path, shards: Path, number: int) -> list[Path]:
    """The files of a folder in some shards `<shards>-000000.tar`, ..., one after the other in each."""
    files = [
        (path.relative_to(folder).as_posix(), path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return [
        pack(shards.with_name(f"{shards.name}-{k:06}.tar"), files[k::number]) for k in range(number)
    ]
