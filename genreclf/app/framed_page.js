// Shows a page from a file, which may come from elsewhere, as high as its content. Its scripts do not run: the frame's
// sandbox and the page's policy forbid them. Elements that the policy does not cover are removed before it is loaded.

const NOT_SHOWN = "script, link, base, meta, iframe, frame, object, embed, form, noscript";

export default function ({ data, parentElement: root }) {
  let frame = root.querySelector("iframe");
  if (frame?.shownPage === data.page) return;
  frame?.remove();
  frame = document.createElement("iframe");
  frame.shownPage = data.page;
  frame.title = data.title;
  frame.setAttribute("sandbox", "allow-same-origin"); // so that its height can be measured
  frame.style.cssText = "display: block; width: 100%; height: 60vh; border: 0; background: transparent;";
  frame.addEventListener("load", () => fit(frame));
  const page = new DOMParser().parseFromString(data.page, "text/html"); // loads nothing
  page.querySelectorAll(NOT_SHOWN).forEach((element) => element.remove());
  frame.srcdoc = data.head + page.documentElement.outerHTML;
  root.append(frame);
}

function fit(frame) {
  const shown = frame.contentDocument;
  const measure = () => (frame.style.height = `${Math.ceil(shown.documentElement.getBoundingClientRect().height)}px`);
  shown.addEventListener("click", (event) => event.target.closest?.("a, area") && event.preventDefault(), true);
  shown.documentElement.style.overflowY = "hidden";
  Object.assign(shown.body.style, { padding: 0, maxWidth: "none", background: "transparent" }); // the app's page has its own
  new ResizeObserver(measure).observe(shown.documentElement);
  measure();
}
