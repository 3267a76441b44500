"""The page that explains the models and their limits."""

import streamlit as st

from genreclf.app import words
from genreclf.app.markdown import markdown_html
from genreclf.app.state import runs_folder
from genreclf.inference.catalog import list_models
from genreclf.inference.run_folder import CARD

_TEXT = """
The pretrained models know ten genres: blues, classical, country, disco, hip-hop, jazz, metal, pop, reggae and rock.
They learned from clips of 30 seconds, many recorded before 2002; each model's card, below, says which.
A model reads a song as a **spectrogram**, a picture of its sound with time from left to right and pitch from bottom to
top, in parts of ten seconds. The prediction for the song is the mean over its parts.

**What the numbers mean.** About 80 % of the answers with a probability of 80 % should be right. Below each answer, you
see how many equally probable answers were right in a test on clips by artists who were not in the training. A model's
accuracy is the share of all these clips that it classified correctly. The range in brackets is the 95 % interval: the
accuracy to expect on other clips like these.

**What the models cannot do.**

- They know only their ten genres. If a model finds no music, or music of none of its genres, it gives no genre. It does
  not notice all such sounds; the cards say how many it noticed in a test.
- Genres overlap, and people disagree about them. Rock is most often confused with country and blues.
- Music of other times, places and styles than the training music is classified less well, and the probabilities do not
  show it.
- Noise and missing treble (phone recordings, very low bit rates) change the result.
- Do not use the results for decisions about people.

**Your music** stays in the memory of the computer that runs this app, and is sent nowhere else. Only Train writes it to
a disk: it copies the songs that you corrected into the folder of your runs, where they stay until you delete them.
"""


def page() -> None:
    """Shows the page."""
    st.title("About the models")
    st.markdown(_TEXT)
    st.header("Available models")
    for entry in list_models(runs_folder()):
        scores = f"{entry.scores.name} {entry.scores}" if entry.scores else "not evaluated yet"
        with st.expander(words.plain(f"{entry.label}: {scores}")):
            card = entry.folder / CARD
            if card.is_file():
                text = card.read_text(encoding="utf-8", errors="replace")
                st.html(markdown_html(text.split("---", 2)[-1] if text.startswith("---") else text, 3))
            else:
                st.write("No model card yet: `genreclf evaluate RUN` writes one.")
