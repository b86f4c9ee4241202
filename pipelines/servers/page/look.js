// The page of `dbdflow look`: what is added, what is chosen, and what follows from it.
import { Card, make } from "./card.js";
import { Enlarged } from "./enlarged.js";
import { filesOf, pasted } from "./incoming.js";
import { Photograph } from "./photograph.js";
import { Requests } from "./requests.js";
import { compose, opacities } from "./views.js";

const MOST = 200; // photographs on the page
const AT_ONCE = 5; // requests, of the six that a browser keeps open

class Page {
  constructor(facts) {
    Object.assign(this, { facts, cards: [], cut: null, requests: new Requests() });
    this.bar = document.querySelector(".bar");
    this.fields = this.bar.elements;
    this.notice = document.querySelector("main > .notice");
    this.enlarged = new Enlarged(this);
    this.seen = new IntersectionObserver((entries) => this.scrolled(entries), { rootMargin: "100%" });
    this.offer();
    this.choose();
    this.bar.addEventListener("submit", (event) => event.preventDefault());
    for (const name of ["first", "second"]) this.fields[name].addEventListener("change", () => this.choose());
    this.thresholds = [this.bar, this.enlarged.form];
    for (const { elements } of this.thresholds) {
      const level = () => Number(elements.level.value);
      elements.cut.addEventListener("change", () => this.threshold(elements.cut.checked, level()));
      elements.level.addEventListener("input", () => this.threshold(true, level()));
    }
    this.fields.clear.addEventListener("click", () => [...this.cards].forEach((card) => this.remove(card)));
    setInterval(() => this.tick(), 1000);
  }

  offer() {
    // The models that are at hand, the examples.
    const { models, chosen, examples } = this.facts;
    const options = () => models.map((name) => new Option(name));
    this.fields.first.append(...options());
    this.fields.second.append(new Option("none", ""), ...options());
    this.fields.first.value = chosen[0];
    this.fields.second.value = chosen[1] ?? "";
    document.querySelector(".examples").hidden = !examples.length;
    document.querySelector(".examples ul").append(...examples.map((name) => make("li", {}, this.example(name))));
  }

  example(name) {
    const image = make("img", { src: `examples/${name}`, alt: "", loading: "lazy" });
    const button = make("button", { type: "button" }, image, make("span", {}, name));
    button.addEventListener("click", async () => {
      const answer = await fetch(image.src);
      this.add([new File([await answer.blob()], name)]);
    });
    return button;
  }

  get models() {
    return [...new Set([this.fields.first.value, this.fields.second.value])].filter(Boolean);
  }

  choose() {
    this.requests.most = Math.floor(AT_ONCE / this.models.length);
    this.cards.forEach((card) => card.show());
    this.finished();
  }

  threshold(on, level) {
    // Nothing is asked for: maps are here, and are cut here.
    this.cut = on ? level : null;
    for (const { elements } of this.thresholds) {
      elements.cut.checked = on;
      elements.level.value = level;
      elements.shown.value = (level / 255).toFixed(2);
    }
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.cards.forEach((card) => card.paint());
      this.enlarged.paint();
    });
  }

  add(files) {
    const room = MOST - this.cards.length;
    const large = files.filter((file) => file.size > this.facts.megabytes * 1e6);
    const taken = files.filter((file) => !large.includes(file)).slice(0, room);
    const made = taken.map((file) => new Card(new Photograph(file, this.ask, this.facts), this));
    this.cards.push(...made);
    document.querySelector(".cards").append(...made.map((card) => card.element));
    made.forEach((card) => this.seen.observe(card.element));
    made.forEach((card) => card.show());
    const left = files.length - large.length - taken.length;
    const limit = `at most ${this.facts.megabytes} MB are taken`;
    this.say([
      ...large.map((file) => `${file.name}: ${(file.size / 1e6).toFixed(0)} MB, and ${limit}.`),
      ...(left ? [`${left} left out: the page holds ${MOST}. For a whole folder: dbdflow predict FOLDER.`] : []),
      ...(files.length ? [] : ["No file in what was given."]),
    ]);
    this.finished();
  }

  ask = (...words) => this.requests.ask(...words);

  say(lines) {
    this.notice.hidden = !lines.length;
    this.notice.replaceChildren(...lines.map((line) => make("span", {}, line)));
  }

  remove(card) {
    const place = this.cards.indexOf(card);
    card.photograph.gone.abort();
    this.seen.unobserve(card.element);
    card.element.remove();
    this.cards.splice(place, 1);
    (this.cards[place] ?? this.cards[place - 1])?.element.querySelector("header button").focus();
    if (!this.cards.length) document.querySelector(".choose input").focus();
    this.finished();
  }

  finished() {
    // How far all are.
    const { models, cards } = this;
    const states = cards.flatMap((card) => models.map((model) => card.progress.get(model)?.state));
    const count = (state) => states.filter((each) => each === state).length;
    const failed = count("failed") ? `, ${count("failed")} failed` : "";
    document.body.classList.toggle("empty", !cards.length);
    this.bar.querySelector(".told").textContent = cards.length ? `${count("done")} of ${states.length} maps${failed}` : "";
    const ended = count("done") + count("failed");
    const progress = this.bar.querySelector("progress");
    Object.assign(progress, { max: states.length || 1, value: ended, hidden: ended === states.length });
  }

  tick() {
    for (const card of this.cards) {
      for (const model of this.models) if (card.progress.get(model).state === "at work") card.tell(model);
    }
  }

  scrolled(entries) {
    for (const { target, isIntersecting } of entries) {
      this.cards.find((card) => card.element === target)?.come(isIntersecting);
    }
  }

  enlarge(card, view, model) {
    this.enlarged.open(card, view, model ?? this.models[0]);
  }

  async save(card, view, model, button) {
    // At full size; a map that is not cut is the very file that the program made.
    const { photograph } = card;
    button.disabled = true;
    try {
      const blob = view === "map" && this.cut === null ? photograph.maps.get(model).blob : await this.whole(photograph, view, model);
      const cut = this.cut === null ? "" : `-at-${(this.cut / 255).toFixed(2)}`;
      const file = `${photograph.stem()}-${model.replace(/[^\w.-]+/g, "_")}-${view}${cut}.png`;
      const link = make("a", { href: URL.createObjectURL(blob), download: file });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      this.say([`${photograph.name}: ${error.message}`]);
    }
    button.disabled = false;
  }

  async whole(photograph, view, model) {
    const pictures = await photograph.at(Infinity);
    const white = await photograph.white(model, opacities(this.cut), pictures);
    const target = document.createElement("canvas");
    compose(view, target, pictures.picture, pictures.background, white);
    const blob = await new Promise((resolve) => target.toBlob(resolve, "image/png"));
    if (!blob) throw new Error("too large for this browser to save; use dbdflow predict");
    return blob;
  }
}

const page = new Page(await (await fetch("facts")).json());
document.querySelector(".choose input").addEventListener("change", (event) => {
  page.add([...event.target.files]);
  event.target.value = "";
});
filesOf(document, (files) => page.add(files));
pasted(document, (files) => page.add(files));
