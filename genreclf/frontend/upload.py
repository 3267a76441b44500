"""An uploaded file, as bytes -> a clip. Its type is sniffed from its content, and it is never written to a disk."""

import os
from pathlib import Path

from genreclf.errors import GenreclfError
from genreclf.frontend.clip import Clip, audio_clip, picture_clip

_PICTURE_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # of PNG and JPEG


def read_upload(content: bytes, picture_seconds: float, max_seconds: float) -> Clip:
    """Reads audio of at most `max_seconds`, or a picture that shows `picture_seconds` of music.

    Raises GenreclfError, which names the file "upload".
    """
    if not content:
        raise GenreclfError("upload: empty; send the bytes of an audio file or picture")
    handle = os.memfd_create("upload")
    path = Path(f"/proc/self/fd/{handle}")
    try:
        with open(handle, "wb", closefd=False) as file:
            file.write(content)
        if content.startswith(_PICTURE_SIGNATURES):
            return picture_clip(path, picture_seconds)
        return audio_clip(path, max_seconds)
    except GenreclfError as error:
        raise GenreclfError(str(error).replace(str(path), "upload")) from error
    finally:
        os.close(handle)
