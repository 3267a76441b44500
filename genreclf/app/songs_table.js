// The table of songs. Names are always text, never markup.
// Keys in a row: up and down open another song, left and right choose another genre, Delete removes the song.

const WAIT_MS = 700; // after the last arrow key, so that stepping through the genres is one correction

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text ?? "" }, properties);
}

function cell(label, ...contents) {
  const made = element("td");
  made.dataset.label = label;
  made.append(...contents);
  return made;
}

function songRow(song, data, act) {
  const row = element("tr");
  row.dataset.id = song.id;
  if (song.open) row.ariaCurrent = "true";
  const open = element("button", song.name, { type: "button", className: "open", dir: "auto" });
  open.ariaCurrent = song.open ? "true" : "false";
  const select = element("select", "", { ariaLabel: `Correct genre of ${song.name}` });
  select.append(new Option("–", -1), ...data.genres.map((name, place) => new Option(name, place)));
  select.value = song.right;
  select.onchange = () => act("correct", song.id, Number(select.value));
  const remove = element("button", "×", { type: "button", className: "remove", ariaLabel: `Remove ${song.name}`, title: "Remove" });
  remove.onclick = () => act("remove", song.id);
  const note = element("span", song.note, { className: "note" });
  row.append(cell("song", open, note));
  song.answers.forEach((answer, place) => row.append(cell(data.labels[place], answer)));
  row.append(cell("length", song.length), cell("correct genre", ...(song.correctable ? [select] : [])), cell("", remove));
  row.onclick = (event) => event.target.closest("select, .remove") || act("open", song.id);
  return row;
}

// Scrolls only within the table: the page stays where the user has scrolled it.
function showOpenRow(scroller, row) {
  if (!row) return;
  const above = row.offsetTop - scroller.querySelector("thead").offsetHeight;
  const below = row.offsetTop + row.offsetHeight - scroller.clientHeight;
  scroller.scrollTop = Math.min(above, Math.max(below, scroller.scrollTop));
}

export default function ({ data, parentElement, setTriggerValue }) {
  const [head, body] = ["thead", "tbody"].map((name) => parentElement.querySelector(name));
  const act = (kind, song, genre) => setTriggerValue("act", { kind, song, genre });
  const root = parentElement.getRootNode();
  const focused = root.activeElement?.closest?.("tr")?.dataset.id;
  const what = root.activeElement?.tagName === "SELECT" ? "select" : ".open";
  const titles = ["song", ...data.labels, "length", "correct genre", ""];
  const line = element("tr");
  line.append(...titles.map((title) => element("th", title, { scope: "col" })));
  head.replaceChildren(line);
  body.replaceChildren(...data.songs.map((song) => songRow(song, data, act)));
  const row = (id) => [...body.rows].find((one) => one.dataset.id === id);
  if (focused) row(focused)?.querySelector(what)?.focus({ preventScroll: true });
  showOpenRow(parentElement.querySelector(".scroller"), body.querySelector("tr[aria-current=true]"));

  let waiting = 0;
  body.onkeydown = (event) => {
    const here = event.target.closest("tr");
    if (!event.target.matches(".open") || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Delete") act("remove", here.dataset.id);
    if (!step) return;
    event.preventDefault();
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const next = body.rows[here.rowIndex - 1 + step];
      next?.querySelector(".open").focus();
      if (next) act("open", next.dataset.id);
      return;
    }
    const select = here.querySelector("select");
    if (!select) return; // there is nothing to correct
    select.selectedIndex = (select.selectedIndex + step + select.length) % select.length;
    clearTimeout(waiting);
    waiting = setTimeout(() => act("correct", here.dataset.id, Number(select.value)), WAIT_MS);
  };
}
