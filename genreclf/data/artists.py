"""The names of artists: which ones mean that the artist is not known, and which ones are of one artist."""

import re

from genreclf.text import normalize_name, spelling_key

# What tables write where they know no value; without case, spaces and punctuation, so "n/a", "N.A." and "<NA>" are one.
UNKNOWN = ("na", "nan", "nil", "none", "null", "unknown", "unbekannt", "tba", "tbd")
_NO_ARTIST = (
    *("", *UNKNOWN),
    *("unknownartist", "unknownartists", "artistunknown", "noartist", "anonymous", "unknownperformer", "unknownband"),
    *("va", "various", "variousartist", "variousartists", "multipleartists", "diverse", "verschiedene"),
    *("unbekannterkünstler", "unbekannterinterpret", "artistadesconocido", "variosartistas", "artisteinconnu"),
    *("artistesdivers", "artistasconosciuto", "artistivari", "artistadesconhecido", "váriosartistas"),
    *("desconocido", "desconhecido", "inconnu", "sconosciuto"),
)
_GUESTS = re.compile(r"\s+[(\[]?(?:feat|ft|featuring)\b\.?\s+(?=\S)", re.IGNORECASE)
_THE = re.compile(r"^the[\W_]+(?=\w)|,\s*the$", re.IGNORECASE)  # "The Beatles", "Beatles, The"


def is_no_artist(cell: str) -> bool:
    """Whether a cell says that the artist is not known, or that there are several."""
    return normalize_name(cell) in _NO_ARTIST


def artist_key(name: str) -> str:
    """A key that all spellings of an artist's name have in common; empty for no name.

    It ignores case, accents, spaces, punctuation, the article "the", and guests ("feat. ..."). Two artists with one key
    stay together, which costs little; one artist with two keys would be a leak.
    """
    plain = _THE.sub("", _GUESTS.split(name.strip())[0])
    return spelling_key(plain) if normalize_name(plain) else ""
