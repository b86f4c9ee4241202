// The gallery's controls. Its data is read, and its cards are made, when it comes near to what is seen.
const PAGE = 24;

class Gallery {
  constructor(root) {
    this.root = root;
    this.data = JSON.parse(document.getElementById("gallery-data").textContent);
    this.cards = new Cards(this.data);
    this.state = startState(this.data);
    this.form = root.querySelector("form");
    this.offer();
    this.form.addEventListener("input", (event) => this.changed(event));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    for (const [name, step] of [["before", -1], ["after", 1]]) {
      for (const button of root.querySelectorAll(`[data-turn="${name}"]`)) {
        button.addEventListener("click", () => this.turn(step));
      }
    }
    this.show();
  }

  offer() {
    // Fill the controls with what there is.
    const { data, form } = this;
    const option = (value, text) => new Option(text, value);
    form.elements.set.append(...data.sets.map((name, number) => option(number, name)));
    form.elements.metric.append(...data.metrics.map((metric) => option(metric.key, metric.name)));
    for (const name of ["first", "second"]) {
      form.elements[name].append(...data.methods.map((method) => option(method.run, method.name)));
    }
    const chips = data.methods.map((method) => (
      make("label", {}, make("input", { type: "checkbox", name: "method", value: method.run }), method.name)));
    form.querySelector(".methods").append(...chips);
    const buttons = data.questions.map((question) => {
      const button = make("button", { type: "button", "data-question": question.key, title: question.figures }, question.name);
      button.addEventListener("click", () => this.ask(question));
      return button;
    });
    form.querySelector(".questions").append(...buttons);
    form.querySelector(".questions").closest("fieldset").hidden = !buttons.length;
  }

  ask(question) {
    this.state = answering(this.data, question);
    this.show();
  }

  changed(event) {
    const { form, state } = this;
    const field = (name) => form.elements[name].value;
    const percent = (name, otherwise) => (field(name) === "" ? otherwise : Number(field(name)));
    const boxes = [...form.querySelectorAll('[name="method"]')];
    Object.assign(state, {
      methods: new Set(boxes.filter((box) => box.checked).map((box) => box.value)), view: field("view"),
      first: field("first"), second: field("second"), metric: field("metric"), by: field("by"),
      descending: field("order") === "descending", set: field("set"), dof: field("dof"),
      low: percent("low", 0), high: percent("high", 100), page: 0, question: "",
    });
    this.show(event);
  }

  turn(step) {
    this.state.page += step;
    this.show();
    this.root.querySelector(".told").scrollIntoView({ block: "start" });
  }

  reflect() {
    const { form, state } = this;
    for (const box of form.querySelectorAll('[name="method"]')) box.checked = state.methods.has(box.value);
    for (const name of ["first", "second", "metric", "by", "set", "dof", "view"]) form.elements[name].value = state[name];
    form.elements.order.value = state.descending ? "descending" : "ascending";
    for (const [name, end] of [["low", 0], ["high", 100]]) {
      if (document.activeElement !== form.elements[name]) {
        form.elements[name].value = state[name] === end ? "" : state[name];
      }
    }
    for (const button of form.querySelectorAll("[data-question]")) {
      button.setAttribute("aria-pressed", String(button.dataset.question === state.question));
    }
  }

  show() {
    const { data, state } = this;
    this.reflect();
    const found = ordered(data, state);
    const begin = state.page * PAGE;
    const shown = found.slice(begin, begin + PAGE);
    const asked = data.questions.find((question) => question.key === state.question);
    const counted = found.length ? `${begin + 1} to ${begin + shown.length} of ${found.length} photographs` : "No photograph passes these filters";
    this.root.querySelector(".told").textContent = asked ? `${counted}. ${asked.figures}.` : `${counted}.`;
    this.root.querySelector(".colours").hidden = state.view !== "errors";
    this.root.querySelector(".cards").replaceChildren(...shown.map((index) => this.cards.card(index, state)));
    for (const button of this.root.querySelectorAll("[data-turn]")) {
      button.disabled = button.dataset.turn === "before" ? begin === 0 : begin + PAGE >= found.length;
    }
  }
}

const galleryRoot = document.querySelector("[data-gallery]");
if (galleryRoot) {
  let gallery = null;
  const open = () => { gallery ||= new Gallery(galleryRoot); };
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    open();
  }, { rootMargin: "1200px" }).observe(galleryRoot);
  addEventListener("beforeprint", open);
}
