"""Many small files in one request in; each published or refused by itself, as if it had come alone.

The form is that of an upload, with the field `content` once for each file. What the upload API has besides is the
file's own to say: its name and its metadata do. Only `attestations` and the digests count, each before its file.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.errors import IndexRefusesError, WheelhouseError
from wheelhouse.index.changes.form import read_forms
from wheelhouse.index.changes.repository import Added, SameBytes
from wheelhouse.index.changes.together import add_together
from wheelhouse.index.changes.upload import Taken, remarks
from wheelhouse.index.model import FileName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from wheelhouse.index.changes.attestations import Looked
    from wheelhouse.index.changes.form import Form
    from wheelhouse.index.changes.repository import NewFile
    from wheelhouse.index.changes.together import End
    from wheelhouse.index.changes.upload import Uploads

MOST = 100
"""Files in one request."""
MOST_BYTES = 8 << 20
"""Of one request: all of it is kept in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """The files of a request, and what is wrong with some before anybody has looked into them."""

    forms: Mapping[str, Form]
    """By filename, in their order."""
    names: Mapping[str, FileName]
    """Of those that have the name of a file."""
    refused: Mapping[str, Exception]


async def read_parcel(
    body: AsyncIterator[bytes], *, content_type: str, limit: int, authorize: Callable[[NormalizedName], None]
) -> Parcel:
    """Read a request; a file whose project is not the sender's (`authorize` raises) is a refused one.

    Raises IndexRefusesError where the request itself is not right.
    """
    read = await read_forms(body, content_type=content_type, limit=limit, most=MOST, most_bytes=MOST_BYTES)
    forms = {form.filename: form for form in read}
    if len(forms) < len(read):
        raise IndexRefusesError("a file is twice among those that were sent together")
    names: dict[str, FileName] = {}
    refused: dict[str, Exception] = {}
    places: dict[object, str] = {}
    for filename, form in forms.items():
        try:
            names[filename] = name = FileName.parse(filename)
            authorize(name.project)
        except Exception as error:  # noqa: BLE001 - the file's, and told as such
            refused[filename] = error
            continue
        other = places.setdefault(name.place, filename)
        if form.refused is not None:
            refused[filename] = form.refused
        elif other != filename:
            refused[filename] = IndexRefusesError(f"{filename} is {other} by another name, which was sent along")
    return Parcel(forms=forms, names=names, refused=refused)


async def take_parcel(
    uploads: Uploads, parcel: Parcel, *, told: Callable[[Mapping[str, Taken | Exception]], None]
) -> Mapping[str, Taken | Exception]:
    """Publish the files of a request; return what became of each, by filename, in their order.

    `told` hears of it in the thread that has published them, before this returns. Raises StoreUnavailableError where
    the index keeps no spool.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(uploads.one_thread, _take, uploads, parcel, told)


def _take(
    uploads: Uploads, parcel: Parcel, told: Callable[[Mapping[str, Taken | Exception]], None]
) -> Mapping[str, Taken | Exception]:
    ends: dict[str, Taken | Exception] = {**parcel.refused}
    looked: list[tuple[NewFile, Looked, bytes]] = []
    for filename in filter(lambda each: each not in parcel.refused, parcel.forms):
        form = parcel.forms[filename]
        try:
            new, attested = uploads.look(form, parcel.names[filename])
        except WheelhouseError as error:
            ends[filename] = error
        else:
            looked.append((new, attested, form.small or b""))
    published = _publish(uploads, [(new, data) for new, _, data in looked])
    for (new, attested, _), end in zip(looked, published, strict=True):
        filename = new.name.filename
        if isinstance(end, Added | SameBytes):
            said = remarks(parcel.forms[filename], attested, end.file)
            ends[filename] = Taken(outcome=end, remarks=said)
        else:
            ends[filename] = end
    in_order = {filename: ends[filename] for filename in parcel.forms}
    told(in_order)
    return in_order


def _publish(uploads: Uploads, arrivals: Sequence[tuple[NewFile, bytes]]) -> Sequence[End]:
    if uploads.own_outbox is not None:
        return uploads.own_outbox.publish_many(arrivals)
    return add_together(uploads.repository, arrivals)
