"""The page that says what the models are, and what they cannot do."""

import streamlit as st

from genreclf.app.state import runs_folder
from genreclf.inference.catalog import list_models
from genreclf.inference.run_folder import CARD

_TEXT = """
A model here has learnt ten genres from about 640 clips of half a minute, recorded between the 1950s and 2002: blues,
classical, country, disco, hip-hop, jazz, metal, pop, reggae and rock. It hears a song as a **spectrogram**, a picture
of which pitches sound when, in pieces of ten seconds; its answer for the song is the mean over the pieces.

**What the numbers mean.** A probability is calibrated: of many answers that say 80 %, about 80 % were right, on clips
that no training saw, by artists that no training heard. The score beside a model's name is the share of such clips that
it named rightly, and in brackets the range to expect for others like them.

**What it cannot do.**

- It knows no other genre than these ten, and always names one of them: a bird or a speech gets a genre, too.
- Genres overlap, and people disagree about them. Rock is taken for country or blues most often.
- Songs of other times, places and styles than its training's are judged worse, and it does not know that it is wrong.
- Treble that is missing (telephones, very low bit rates) and noise change answers.
- It is no basis for decisions about people.

**Your music** stays in the memory of the machine that runs this page. Nothing is stored or sent anywhere.
"""


def page() -> None:
    """The page."""
    st.title("What this is")
    st.markdown(_TEXT)
    st.header("The models at hand")
    for known in list_models(runs_folder()):
        with st.expander(f"{known.label}: {known.accuracy or 'not scored yet'}"):
            card = known.folder / CARD
            if card.is_file():
                text = card.read_text(encoding="utf-8", errors="replace")
                st.markdown(text.split("---", 2)[-1] if text.startswith("---") else text)
            else:
                st.write("It has no card yet: `python -m genreclf.evaluate run=RUN` writes one.")
