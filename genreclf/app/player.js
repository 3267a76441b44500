// The player: sound, spectrogram and genres on one time axis. Names arrive as data and are only ever set as text.

const players = new Map(); // by root: Streamlit calls the function below again after each run of its page

export default function ({ data, parentElement: root, setStateValue }) {
  if (!players.has(root)) players.set(root, new Player(root));
  players.get(root).show(data, setStateValue);
  return () => {
    players.get(root)?.close();
    players.delete(root);
  };
}

function clock(seconds, digits) {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = digits ? ((seconds % 60).toFixed(digits)).padStart(digits + 3, "0") : two(whole % 60);
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

function element(kind, className = "", textContent = "") {
  return Object.assign(document.createElement(kind), { className, textContent });
}

const MAX_LETTERS_BESIDE = 12; // beside a strip; a longer name is placed above it
const percent = (share) => `${100 * share}%`;

class Player {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.audio = this.find("audio");
    this.timeline = this.find(".timeline");
    this.chosen = null; // the number of a part from the first model
    this.stopAt = null; // seconds, while a part plays
    this.refused = [];
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(this.timeline);
    this.listen();
  }

  close() {
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
    this.audio.pause();
    this.audio.removeAttribute("src"); // ends its download
    this.audio.load();
  }

  show(data, setStateValue) {
    this.report = setStateValue;
    if (data.audio !== this.data?.audio) {
      if (data.audio) this.audio.src = data.audio;
      else this.audio.removeAttribute("src");
    }
    const content = JSON.stringify(data);
    if (content === this.drawn) return;
    this.drawn = content;
    this.data = data;
    this.parts = data.models[0].parts;
    this.digits = data.seconds < 1 ? 2 : data.seconds < 10 ? 1 : 0;
    this.draw();
    const one = this.parts.length === 1 ? 0 : null;
    this.mark(this.chosen !== null && this.chosen < this.parts.length ? this.chosen : one);
  }

  listen() {
    const on = (selector, act) => this.find(selector).addEventListener("click", act);
    on(".play", () => this.playOrPause());
    on(".play-part", () => this.playPart());
    on(".previous", () => this.step(-1));
    on(".next", () => this.step(1));
    on(".whole", () => this.choose(null));
    this.find(".volume input").addEventListener("input", (event) => (this.audio.volume = event.target.value));
    for (const event of ["play", "pause", "ended", "seeked", "timeupdate", "loadedmetadata"])
      this.audio.addEventListener(event, () => this.tick());
    this.audio.addEventListener("error", () => this.refuse());
    this.timeline.addEventListener("pointerdown", (event) => this.point(event));
    this.timeline.addEventListener("pointermove", (event) => event.buttons && this.point(event));
    this.timeline.addEventListener("keydown", (event) => this.key(event));
  }

  // Requests a sound that the browser cannot play in another format.
  refuse() {
    const address = this.data?.audio;
    const code = this.audio.error?.code;
    if (!address || code < MediaError.MEDIA_ERR_DECODE || this.refused.includes(address)) return;
    this.refused = [...this.refused, address];
    this.report("refused", this.refused);
  }

  point(event) {
    if (event.button > 0) return;
    const box = this.timeline.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    this.seek(share * this.data.seconds);
    this.choose(this.partAt(share * this.data.seconds));
  }

  key(event) {
    const last = this.parts.length - 1;
    const acts = {
      ArrowLeft: () => this.step(-1),
      ArrowDown: () => this.step(-1),
      ArrowRight: () => this.step(1),
      ArrowUp: () => this.step(1),
      PageDown: () => this.step(-10),
      PageUp: () => this.step(10),
      Home: () => this.goTo(0),
      End: () => this.goTo(last),
      Escape: () => this.choose(null),
      Enter: () => this.playPart(),
      " ": () => this.playOrPause(),
    };
    if (!acts[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
    acts[event.key]();
    event.preventDefault();
    event.stopPropagation(); // the page may have its own keys
  }

  step(by) {
    const here = this.chosen ?? (by > 0 ? -1 : 1) + Math.max(0, this.partAt(this.audio.currentTime) ?? 0);
    this.goTo(here + by);
  }

  goTo(number) {
    if (!this.parts.length) return;
    const place = Math.min(this.parts.length - 1, Math.max(0, number));
    this.seek(this.parts[place].start);
    this.choose(place);
  }

  partAt(seconds) {
    if (!this.parts.length) return null;
    const place = this.parts.findIndex((part) => seconds < part.right);
    return place < 0 ? this.parts.length - 1 : place;
  }

  seek(seconds) {
    this.stopAt = null;
    if (this.data.audio) this.audio.currentTime = seconds;
    this.tick();
  }

  choose(number) {
    if (this.parts.length < 2 || number === this.chosen) return;
    if (number === null) this.stopAt = null;
    this.mark(number);
  }

  playOrPause() {
    if (!this.data.audio) return;
    this.stopAt = null;
    if (this.audio.paused) this.play();
    else this.audio.pause();
  }

  playPart() {
    const place = this.chosen ?? this.partAt(this.audio.currentTime);
    if (!this.data.audio || place === null) return;
    this.goTo(place);
    this.stopAt = this.parts[place].end;
    this.play();
  }

  play() {
    this.audio.play().catch(() => {}); // a refused format fires an event of its own
  }

  // Shows the state of the sound: at each of its events, and at each frame of the screen while it plays.
  tick() {
    cancelAnimationFrame(this.frame);
    if (this.stopAt !== null && this.audio.currentTime >= this.stopAt) {
      this.audio.pause();
      this.audio.currentTime = this.stopAt;
      this.stopAt = null;
    }
    const now = Math.min(this.audio.currentTime, this.data?.seconds ?? 0);
    this.find(".play").textContent = this.audio.paused ? "▶\uFE0E Play" : "❚❚ Pause";
    if (this.data) this.tell(now);
    if (!this.audio.paused) this.frame = requestAnimationFrame(() => this.tick());
  }

  tell(now) {
    const { seconds } = this.data;
    this.find(".playhead").style.left = percent(now / seconds);
    const position = `${clock(now, this.digits)} / ${clock(seconds, this.digits)}`;
    if (this.find(".position").textContent !== position) this.find(".position").textContent = position;
    if (!this.audio.paused && this.told === this.chosen) return; // otherwise a screen reader would read every second
    this.told = this.chosen;
    const part = this.chosen === null ? "whole song" : this.sentence(this.chosen);
    this.timeline.ariaValueNow = now.toFixed(this.digits);
    this.timeline.ariaValueText = this.data.audio ? `${clock(now, this.digits)}, ${part}` : part;
  }

  sentence(number) {
    const { start, end } = this.parts[number];
    const said = this.data.models.map(({ name, parts }, place) => {
      const part = place ? parts.find(({ right }) => (start + end) / 2 < right) ?? parts.at(-1) : parts[number];
      if (!part) return null;
      const answer = `${this.data.genres[part.genre].name} (${Math.round(100 * part.probability)} %)`;
      return this.data.models.length > 1 ? `${name}: ${answer}` : answer;
    });
    return `${clock(start, this.digits)} to ${clock(end, this.digits)}: ${said.filter(Boolean).join("; ")}`;
  }

  mark(number) {
    this.chosen = number;
    const part = number === null ? null : this.parts[number];
    const isMarked = part && this.parts.length > 1;
    for (const name of [".before", ".chosen", ".after"]) this.find(name).hidden = !isMarked;
    if (isMarked) {
      this.place(this.find(".before"), { left: 0, right: part.start });
      this.place(this.find(".chosen"), { left: part.start, right: part.end });
      this.place(this.find(".after"), { left: part.end, right: this.data.seconds });
    }
    this.find(".whole").disabled = number === null;
    this.find(".part").ariaLive = this.root.activeElement === this.timeline ? "off" : "polite"; // the timeline announces the part itself
    const hint = this.parts.length > 1 ? "Click the picture, or use the arrow keys, to choose a part." : "";
    this.find(".part").textContent = part ? `Part ${this.sentence(number)}` : hint;
    this.drawAttention(part);
    this.tick();
  }

  draw() {
    const { data } = this;
    for (const name of [".sound", ".playhead", ".play-part"]) this.find(name).hidden = !data.audio;
    this.find(".steps").hidden = this.parts.length < 2;
    this.find(".reason").textContent = data.reason;
    this.find(".reason").hidden = !data.reason;
    this.find(".spectrogram").src = data.picture;
    this.timeline.ariaLabel = data.description;
    this.timeline.ariaValueMax = data.seconds.toFixed(this.digits);
    this.drawAxis(".frequencies", "bottom", data.frequencies);
    this.drawAxis(".times", "left", data.ticks);
    this.drawStrips();
    this.find(".legend").replaceChildren(...data.genres.map(({ name, colour }) => {
      const item = element("li"), swatch = element("span");
      swatch.style.background = colour;
      item.append(swatch, name);
      return item;
    }));
    this.fit();
  }

  drawAxis(axis, side, ticks) {
    this.find(axis).replaceChildren(...ticks.map(({ at, label }) => {
      const tick = element("span", "", label);
      tick.style[side] = percent(at);
      return tick;
    }));
  }

  drawStrips() {
    const chart = this.find(".chart");
    chart.querySelectorAll(".name, .strip").forEach((old) => old.remove());
    let row = 2;
    for (const { name, parts } of this.data.models) {
      if (!parts.length) continue;
      const isLong = name.length > MAX_LETTERS_BESIDE;
      const label = element("div", isLong ? "name above" : "name", name), strip = element("div", "strip");
      label.style.gridRow = isLong ? row++ : row;
      strip.style.gridRow = row++;
      strip.append(element("div", "rail"), ...parts.map((part) => this.bar(part)), ...this.runs(parts));
      chart.append(label, strip);
    }
    const hasAttention = this.data.attention.length > 0;
    for (const name of [".attention-label", ".attention"]) {
      this.find(name).style.gridRow = row;
      this.find(name).toggleAttribute("hidden", !hasAttention);
    }
    this.find(".times").style.gridRow = row + 1;
    this.timeline.style.gridRow = `1 / ${row + Number(hasAttention)}`;
    chart.append(this.timeline); // above the strips
  }

  // Places an element from `left` to `right`, in seconds.
  place(shown, { left, right }) {
    const { seconds } = this.data;
    Object.assign(shown.style, { left: percent(left / seconds), width: percent((right - left) / seconds) });
    return shown;
  }

  // A bar is taller the more probable its genre is.
  bar(part) {
    const bar = this.place(element("div", "bar"), part);
    bar.style.height = `${1.7 * Math.max(0.1, part.probability)}rem`;
    bar.style.background = this.data.genres[part.genre].colour;
    return bar;
  }

  // Places a genre's name over its neighbouring parts.
  runs(parts) {
    const runs = [];
    for (const { left, right, genre } of parts) {
      if (runs.at(-1)?.genre === genre) runs.at(-1).right = right;
      else runs.push({ left, right, genre });
    }
    return runs.map((run) => this.place(element("div", "run", this.data.genres[run.genre].name), run));
  }

  // Hides names that are wider than their part, and every other time if the times would touch.
  fit() {
    const show = (shown, isShown) => (shown.style.visibility = isShown ? "visible" : "hidden");
    for (const run of this.find(".chart").querySelectorAll(".run")) show(run, run.scrollWidth <= run.clientWidth);
    const times = [...this.find(".times").children], boxes = times.map((time) => time.getBoundingClientRect());
    const touch = boxes.slice(1).some(({ left }, place) => left < boxes[place].right + 4);
    times.forEach((time, place) => show(time, !touch || place % 2 === 0));
  }

  // Draws the attention over the part or the whole song, scaled to its maximum.
  drawAttention(part) {
    const { attention, seconds } = this.data;
    const count = attention.length;
    const first = part ? Math.floor((part.start / seconds) * count) : 0;
    const end = part ? Math.ceil((part.end / seconds) * count) : count;
    const highest = Math.max(1, ...attention.slice(first, end));
    let path = `M ${first / count} 1`;
    for (let place = first; place < end; place++)
      path += ` V ${1 - (attention[place] ?? 0) / highest} H ${(place + 1) / count}`;
    this.find(".attention path").setAttribute("d", count ? `${path} V 1 Z` : "");
  }
}
