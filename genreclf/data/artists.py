"""Recognises artist names that mean an unknown artist, and different spellings of one artist's name."""

import re

from genreclf.text import normalize_name, spelling_key

# Words for a missing value in tables, without case, spaces and punctuation: "n/a", "N.A." and "<NA>" are the same.
UNKNOWN = ("na", "nan", "nil", "none", "null", "unknown", "unbekannt", "tba", "tbd")
_NO_ARTIST = {
    *("", *UNKNOWN),
    *("unknownartist", "unknownartists", "artistunknown", "noartist", "anonymous", "unknownperformer", "unknownband"),
    *("va", "various", "variousartist", "variousartists", "multipleartists", "diverse", "verschiedene"),
    *("unbekannterkünstler", "unbekannterinterpret", "artistadesconocido", "variosartistas", "artisteinconnu"),
    *("artistesdivers", "artistasconosciuto", "artistivari", "artistadesconhecido", "váriosartistas"),
    *("desconocido", "desconhecido", "inconnu", "sconosciuto"),
}
_GUESTS = re.compile(r"\s+[(\[]?(?:feat|ft|featuring)\b\.?\s+(?=\S)", re.IGNORECASE)
_THE = re.compile(r"^the[\W_]+(?=\w)|,\s*the$", re.IGNORECASE)  # "The Beatles", "Beatles, The"


def is_no_artist(cell: str) -> bool:
    """Returns whether a cell means that the artist is unknown, or that there are several."""
    return normalize_name(cell) in _NO_ARTIST


def artist_key(name: str) -> str:
    """Returns a key that is equal for all spellings of an artist's name, or "" if there is no name.

    The key ignores case, accents, spaces, punctuation, the article "the", and guests ("feat. ..."). If two artists
    share a key, their clips stay in one group, which costs little; if one artist had two keys, it would be a leak.
    """
    plain = _THE.sub("", _GUESTS.split(name.strip())[0])
    return spelling_key(plain) if normalize_name(plain) else ""
