// One photograph on the page: its pictures, what is known of them, how far its maps are.
import { compose, opacities, share, VIEWS } from "./views.js";

const SIDE = 720; // pixels of a picture in a card
const NAMES = { photograph: "Photograph", map: "Map", overlay: "Overlay", "cut-out": "Cut-out" };
const SAID = { map: "white is in focus", overlay: "what is out of focus is tinted", "cut-out": "what is in focus" };

export function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export class Card {
  constructor(photograph, page) {
    Object.assign(this, { photograph, page, progress: new Map(), parts: new Map(), pictures: null, near: false });
    this.facts = make("p", { class: "facts" });
    const remove = make("button", { type: "button", class: "quiet", "aria-label": `Remove ${photograph.name}` }, "Remove");
    remove.addEventListener("click", () => page.remove(this));
    const title = make("h2", {}, photograph.name);
    this.body = make("div", { class: "body" });
    this.element = make("article", { class: "card", "aria-label": photograph.name }, make("header", {}, title, this.facts, remove), this.body);
    this.original = this.figure("photograph", photograph.name, null);
  }

  show() {
    // Lay out the models that are chosen, and have their maps made.
    const { models } = this.page;
    for (const model of models) if (!this.progress.has(model)) this.want(model);
    const sections = models.map((model) => this.part(model).element);
    this.body.replaceChildren(this.original, ...sections);
    this.body.dataset.models = models.length;
    this.paint();
  }

  async want(model) {
    const progress = { state: "waiting", since: null };
    const begun = () => {
      Object.assign(progress, { state: "at work", since: performance.now() });
      this.tell(model);
    };
    this.progress.set(model, progress);
    this.tell(model);
    try {
      const map = await this.photograph.map(model, begun);
      progress.state = "done";
      if (this.pictures && (map.width !== this.photograph.width || map.height !== this.photograph.height)) await this.decode();
    } catch (error) {
      if (this.photograph.gone.signal.aborted) return;
      Object.assign(progress, { state: "failed", message: error.message });
    }
    this.page.finished();
    this.paint();
  }

  part(model) {
    // What is shown of one model; made once.
    if (!this.parts.has(model)) {
      const told = make("p", { class: "facts" });
      const again = make("button", { type: "button", class: "quiet again" }, "Try again");
      again.addEventListener("click", () => this.want(model));
      const figures = VIEWS.map((view) => this.figure(view, this.photograph.name, model));
      const head = make("div", { class: "head" }, make("h3", {}, model), told, again);
      this.parts.set(model, { element: make("section", { class: "model", "aria-label": model }, head, ...figures), told, figures });
    }
    return this.parts.get(model);
  }

  figure(view, name, model) {
    const picture = make("canvas", { width: 3, height: 2, "aria-hidden": "true" });
    const open = make("button", { type: "button", class: "picture" }, picture);
    open.addEventListener("click", () => this.page.enlarge(this, view, model));
    const caption = make("figcaption", {}, make("span", {}, NAMES[view]));
    if (model) {
      const label = `Save the ${view} of ${name} by ${model}`;
      const save = make("button", { type: "button", class: "quiet", "aria-label": label }, "Save");
      save.addEventListener("click", () => this.page.save(this, view, model, save));
      caption.append(save);
    }
    const figure = make("figure", { "data-view": view }, open, caption);
    return Object.assign(figure, { view, picture, open });
  }

  async come(near) {
    // Pictures take memory only while they are near to what is seen.
    if (near === this.near) return;
    this.near = near;
    if (near) await this.decode();
    else {
      this.pictures = null;
      for (const { picture } of this.figures()) Object.assign(picture, { width: 3, height: 2 });
    }
    this.paint();
  }

  async decode() {
    try {
      this.pictures = await this.photograph.at(SIDE);
      this.original.classList.remove("none");
      this.facts.textContent = `${this.photograph.width} × ${this.photograph.height}`;
      this.body.style.setProperty("--ratio", this.photograph.width / this.photograph.height);
    } catch {
      this.original.classList.add("none"); // that it is no photograph is said by each model
    }
  }

  figures() {
    return [this.original, ...[...this.parts.values()].flatMap((part) => part.figures)];
  }

  async paint() {
    // Bring what is seen up to date; the newest call alone paints.
    const mine = (this.painting = {});
    for (const model of this.page.models) this.tell(model);
    if (!this.pictures) return;
    const { picture, background } = this.pictures;
    compose("photograph", this.original.picture, picture);
    this.name(this.original, `${this.photograph.name}, the photograph`);
    const opacity = opacities(this.page.cut);
    for (const model of this.page.models) {
      if (!this.photograph.maps.has(model)) continue;
      const white = await this.photograph.white(model, opacity, this.pictures);
      if (mine !== this.painting) return;
      for (const figure of this.part(model).figures) compose(figure.view, figure.picture, picture, background, white);
    }
  }

  tell(model) {
    // How far a model is, or what its map says.
    const { state, since, message } = this.progress.get(model);
    const { element, told, figures } = this.part(model);
    element.dataset.state = state;
    const seconds = since === null ? 0 : Math.floor((performance.now() - since) / 1000);
    if (state === "failed") told.textContent = message;
    else if (state !== "done") told.textContent = seconds ? `${state}, ${seconds} s` : state;
    else {
      const map = this.photograph.maps.get(model);
      const percent = `${(100 * share(map.counts, opacities(this.page.cut))).toFixed(0)} % in focus`;
      const seen = map.seenAt.length ? `, seen at ${map.seenAt[1]} × ${map.seenAt[0]}` : "";
      told.textContent = `${percent} · ${map.seconds.toFixed(2)} s${seen}`;
      for (const figure of figures) {
        this.name(figure, `${NAMES[figure.view]} of ${this.photograph.name} by ${model}, ${SAID[figure.view]}, ${percent}`);
      }
    }
    for (const figure of figures) figure.querySelectorAll("button").forEach((button) => (button.disabled = state !== "done"));
  }

  name(figure, text) {
    figure.open.setAttribute("aria-label", `${text}; enlarge`);
  }
}
