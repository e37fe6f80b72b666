// Clicks in the conversation, and what must survive when it is rendered again.
const opened = new Set();

const narrow = () => window.matchMedia("(max-width: 860px)").matches;

// A new question moves to the top, so that its answer is read from its beginning.
const toTop = (exchange) => {
  const box = element.closest("#transcript");
  const room = narrow() ? window.innerHeight * 0.6 : box.clientHeight - 48;
  element.style.setProperty("--room", `${room}px`);
  exchange.scrollIntoView({ block: "start" });
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { exchange, mark, section, example } = button.dataset;
  if (example !== undefined) {
    trigger("ask_example", { example: Number(example) });
    if (!narrow()) document.querySelector("#question textarea")?.focus();
  } else if (button.classList.contains("open")) {
    window.careerSource?.reveal();
  } else if (exchange !== undefined) {
    window.careerSource?.want();
    const place = mark === undefined ? { section: Number(section) } : { mark: Number(mark) };
    trigger("open_source", { exchange: Number(exchange), ...place });
  }
});

// A new rendering knows nothing of what was unfolded.
const key = (details) => details.closest(".exchange")?.id;
element.addEventListener("toggle", (event) => {
  const name = key(event.target);
  if (event.target.open) opened.add(name);
  else opened.delete(name);
}, true);

let exchanges = 0;
watch("value", () => {
  for (const details of element.querySelectorAll("details")) {
    details.open = opened.has(key(details));
  }
  window.careerSource?.showOpen();
  const now = element.querySelectorAll(".exchange").length;
  if (now > exchanges) toTop(element.querySelector(".exchange:last-child"));
  exchanges = now;
});
