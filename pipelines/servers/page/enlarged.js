// One picture, large: the view changes by the buttons or the arrow keys, the threshold is the page's.
import { make } from "./card.js";
import { compose, opacities, VIEWS } from "./views.js";

const SIDE = 2400; // pixels
const ALL = ["photograph", ...VIEWS];

export class Enlarged {
  constructor(page) {
    Object.assign(this, { page, pictures: null });
    this.dialog = document.querySelector("dialog");
    this.form = this.dialog.querySelector("form");
    this.caption = this.dialog.querySelector(".caption");
    this.canvas = make("canvas", { role: "img" });
    this.dialog.querySelector(".large").append(this.canvas);
    this.buttons = ALL.map((view) => make("button", { type: "button" }, view));
    this.buttons.forEach((button, i) => button.addEventListener("click", () => this.turn(ALL[i])));
    this.dialog.querySelector(".kinds").append(...this.buttons);
    this.dialog.addEventListener("keydown", (event) => this.pressed(event));
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  async open(card, view, model) {
    Object.assign(this, { card, view, model, pictures: null });
    this.turn(view);
    this.dialog.showModal();
    this.buttons[ALL.indexOf(view)].focus();
    this.dialog.classList.add("busy");
    const pictures = await card.photograph.at(SIDE).catch(() => null);
    if (this.card !== card) return;
    this.dialog.classList.remove("busy");
    this.pictures = pictures;
    this.canvas.style.setProperty("--ratio", card.photograph.width / card.photograph.height);
    this.paint();
  }

  turn(view) {
    this.view = view;
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", ALL[i] === view));
    this.caption.textContent = `${this.card.photograph.name}, ${this.model}`;
    this.canvas.dataset.view = view;
    this.canvas.setAttribute("aria-label", `${view} of ${this.card.photograph.name}`);
    this.paint();
  }

  pressed(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.type === "range") return;
    event.preventDefault();
    this.turn(ALL[(ALL.indexOf(this.view) + step + ALL.length) % ALL.length]);
  }

  async paint() {
    if (!this.pictures) return;
    const { picture, background } = this.pictures;
    const mine = (this.painting = {});
    const made = this.card.photograph.maps.has(this.model);
    this.buttons.forEach((button, i) => (button.disabled = i > 0 && !made));
    if (this.view === "photograph" || !made) return compose("photograph", this.canvas, picture);
    const white = await this.card.photograph.white(this.model, opacities(this.page.cut), this.pictures);
    if (mine === this.painting) compose(this.view, this.canvas, picture, background, white);
  }

  closed() {
    Object.assign(this, { card: null, pictures: null });
    Object.assign(this.canvas, { width: 3, height: 2 });
  }
}
