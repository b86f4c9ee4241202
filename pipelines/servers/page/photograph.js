// A photograph on the page, and its maps, at whatever size they are asked for.
import { drawn, fitted, levelsOf, mask, tinted } from "./views.js";

export class Photograph {
  constructor(file, ask, colours) {
    Object.assign(this, { file, ask, colours, name: file.name || "pasted.png", source: file, maps: new Map() });
    this.gone = new AbortController();
  }

  stem() {
    return this.name.replace(/\.[^.]*$/, "");
  }

  async map(model, begun) {
    // Have the map of a model made; the same one to whoever asks again.
    const words = { model, name: this.name };
    const { headers, blob } = await this.ask(model, "map", words, this.file, this.gone.signal, begun);
    const numbers = (name) => headers.get(name).split(" ").filter(Boolean).map(Number);
    const [height, width] = numbers("X-Size");
    const made = { blob, width, height, counts: numbers("X-Counts"), seconds: Number(headers.get("X-Seconds")) };
    this.maps.set(model, { ...made, seenAt: numbers("X-Seen-At") });
    return this.maps.get(model);
  }

  async bitmap() {
    // Decoded by the browser; by the program where the browser does not know the format, or turns it otherwise.
    const theirs = () => [...this.maps.values()][0];
    const alike = (bitmap) => !theirs() || (bitmap.width === theirs().width && bitmap.height === theirs().height);
    const own = await createImageBitmap(this.source).catch(() => null);
    if (own && (alike(own) || this.source !== this.file)) return own;
    const words = { name: this.name };
    this.source = (await this.ask("", "photograph", words, this.file, this.gone.signal, () => {})).blob;
    return createImageBitmap(this.source);
  }

  async at(side) {
    // The photograph and what lies behind its overlay, on canvases of at most `side` pixels a side.
    const bitmap = await this.bitmap();
    Object.assign(this, { width: bitmap.width, height: bitmap.height });
    const picture = drawn(bitmap, ...fitted(bitmap.width, bitmap.height, side));
    bitmap.close();
    return { picture, background: tinted(picture, this.colours), levels: new Map() };
  }

  async white(model, opacity, { picture: { width, height }, levels }) {
    // The map of a model as a mask of these pictures' size; its levels are kept with them, one byte a pixel.
    if (!levels.has(model)) levels.set(model, await levelsOf(this.maps.get(model).blob, width, height));
    return mask(levels.get(model), opacity, width, height);
  }
}
