// The panel shows the marked words, and the conversation shows which mark is open.
const narrow = () => window.matchMedia("(max-width: 860px)").matches;
const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
const panel = () => element.querySelector(".source");

const showOpen = () => {
  const { exchange, mark, section } = panel()?.dataset ?? {};
  for (const button of document.querySelectorAll("#transcript button[data-exchange]")) {
    const open = button.dataset.exchange === exchange
      && button.dataset.mark === mark && button.dataset.section === section;
    button.classList.toggle("open", open);
    button.setAttribute("aria-expanded", String(open));
  }
};

// The quoted words within the panel; on a phone, the panel within the page once it was asked for.
const reveal = (wanted) => {
  const text = element.querySelector(".text");
  const quote = [...element.querySelectorAll("mark")].find((mark) => !mark.closest(".md"));
  if (text) {
    const top = quote ? quote.getBoundingClientRect().top - text.getBoundingClientRect().top : 0;
    text.scrollTop += top - text.clientHeight / 4;
  }
  if (wanted && narrow()) {
    panel()?.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
  }
};

let wanted = false;
watch("value", () => {
  showOpen();
  reveal(wanted);
  wanted = false;
});

window.careerSource = {
  showOpen,
  want: () => { wanted = true; },
  reveal: () => reveal(true),
};

element.addEventListener("click", (event) => {
  if (!event.target.closest("button.back")) return;
  const button = document.querySelector("#transcript button.open");
  button?.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" });
  button?.focus({ preventScroll: true });
});
