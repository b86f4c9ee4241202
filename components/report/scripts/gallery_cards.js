// One card of the gallery: a photograph, its label, and maps, all of them tiles of one file beside the page.

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function signed(value) {
  return value === null ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}

class Cards {
  constructor(data) {
    this.data = data;
    this.names = Object.fromEntries(data.methods.map((method) => [method.run, method.name]));
  }

  score(run, metric, index) {
    const found = ((this.data.scores[run] || {})[metric] || [])[index] ?? null;
    return found === null ? null : found / this.data.unit;
  }

  folder(index) {
    return this.data.folders[this.data.photographs.folder[index]];
  }

  tile(index, place, alt, kind) {
    // A tile of the photograph's sheet, as an image that is cut out by the box around it.
    const folder = this.folder(index);
    const source = `gallery/${encodeURIComponent(folder.name)}/${this.data.photographs.row[index]}.jpg`;
    const count = 2 + Object.keys(folder.tiles).length;
    return make("img", {
      class: `tile ${kind || ""}`, loading: "lazy", decoding: "async", alt, src: source,
      "--tiles": count, "--place": place, "--side": folder.side,
    });
  }

  box(index, kind, ...layers) {
    return make("div", { class: `crop ${kind}`, "--shape": this.data.photographs.shape[index] / 1000 }, ...layers);
  }

  panel(picture, name, ...told) {
    return make("div", { class: "panel" }, picture, make("p", {}, name, ...told));
  }

  own(index) {
    const id = this.data.photographs.id[index];
    const alts = [`Photograph ${id}`, `Label of ${id}, white = in focus`];
    return ["Photograph", "Label"].map((name, place) => (
      this.panel(this.box(index, "", this.tile(index, place, alts[place])), name)));
  }

  place(run, index) {
    return this.folder(index).tiles[run];
  }

  map(index, run) {
    const alt = `Map of ${this.data.photographs.id[index]} by ${this.names[run]}, white = in focus`;
    return this.tile(index, this.place(run, index), alt);
  }

  told(index, run, state, runs) {
    // MAE and IoU, and the metric that the gallery is sorted by; the best of those shown in bold.
    const keys = [...new Set(["mae", "iou", state.metric])];
    return keys.map((key) => {
      const metric = this.data.metrics.find((each) => each.key === key);
      if (!metric) return "";
      const value = this.score(run, key, index);
      const values = runs.map((each) => this.score(each, key, index)).filter((each) => each !== null);
      const best = metric.better === "lower" ? Math.min(...values) : Math.max(...values);
      const text = value === null ? "–" : value.toFixed(3);
      const apart = new Set(values).size > 1;
      const shown = apart && value === best ? make("b", {}, text) : text;
      return make("span", {}, `${metric.name.replace("MAE: ", "")} `, shown);
    });
  }

  side(index, state, runs) {
    return runs.map((run) => (
      this.panel(this.box(index, "", this.map(index, run)), this.names[run], ...this.told(index, run, state, runs))));
  }

  errors(index, state, runs) {
    return runs.map((run) => {
      const place = this.place(run, index);
      const missed = make("div", { class: "error missed" }, this.tile(index, 1, ""), this.tile(index, place, "", "not"));
      const found = make("div", { class: "error found" }, this.tile(index, place, ""), this.tile(index, 1, "", "not"));
      for (const layer of [missed, found]) layer.append(make("i", {}));
      const alt = `Errors of ${this.names[run]} on ${this.data.photographs.id[index]}`;
      const box = this.box(index, "errors", this.tile(index, 0, alt, "under"), missed, found);
      return this.panel(box, this.names[run], ...this.told(index, run, state, runs));
    });
  }

  slider(index, state) {
    const [first, second] = [state.first, state.second];
    const over = make("div", { class: "over" }, this.map(index, second));
    const range = make("input", {
      type: "range", min: 0, max: 100, value: 50, step: 1,
      "aria-label": `Left of the line ${this.names[first]}, right of it ${this.names[second]}`,
    });
    const box = this.box(index, "compare", this.map(index, first), over, make("i", {}), range);
    range.addEventListener("input", () => box.style.setProperty("--cut", `${range.value}%`));
    const both = [first, second];
    const told = both.map((run) => make("div", {}, this.names[run], ...this.told(index, run, state, both)));
    return [make("div", { class: "panel swipe" }, box, make("p", { class: "ends" }, ...told))];
  }

  card(index, state) {
    const all = this.data.photographs;
    const dof = ["shallow DOF", "wide DOF", ""][all.dof[index]];
    const sets = all.sets[index].map((number) => this.data.sets[number]).join(", ");
    const facts = [sets, dof, `${(all.focus[index] / 10).toFixed(0)}% in focus`].filter(Boolean).join(" · ");
    const value = sortValue(this.data, state, index);
    const metric = this.data.metrics.find((each) => each.key === state.metric).name;
    const by = state.by === "difference" ? `Δ ${metric} ${signed(value === null ? null : value / this.data.unit)}` : "";
    const wanted = state.view === "slider" ? [state.first, state.second] : [...state.methods];
    const runs = wanted.filter((run) => this.place(run, index) !== undefined);
    const whole = state.view !== "slider" || runs.length === wanted.length;
    const panels = whole ? this[state.view](index, state, runs) : [make("p", { class: "empty" }, "One of the two has no maps here.")];
    const count = 2 + panels.length;
    return make("figure", { class: count > 4 ? "card broad" : "card", "--panels": Math.min(count, 8) },
      make("figcaption", {}, make("b", {}, all.id[index]), make("span", {}, facts), make("span", { class: "by" }, by)),
      make("div", { class: "panels" }, ...this.own(index), ...panels));
  }
}
