"""A file that came over the network, as bytes -> a clip. It is told by its content, and never gets a name on a disk."""

import os
from pathlib import Path

from genreclf.errors import GenreclfError
from genreclf.frontend.clip import Clip, FrontEnd, audio_clip, picture_clip

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # how PNG and JPEG files begin


def read_upload(content: bytes, front_end: FrontEnd, picture_seconds: float, max_seconds: float) -> Clip:
    """Audio, or a picture that shows `picture_seconds`. Raises GenreclfError, which calls it "upload"."""
    if not content:
        raise GenreclfError("upload: empty; send the bytes of an audio file or picture")
    handle = os.memfd_create("upload")
    path = Path(f"/proc/self/fd/{handle}")
    try:
        with open(handle, "wb", closefd=False) as file:
            file.write(content)
        if content.startswith(_PICTURES):
            return picture_clip(path, picture_seconds)
        return audio_clip(path, front_end, max_seconds)
    except GenreclfError as error:
        raise GenreclfError(str(error).replace(str(path), "upload")) from error
    finally:
        os.close(handle)
