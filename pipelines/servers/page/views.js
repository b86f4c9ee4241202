// A photograph and its map made into one picture. 255 = in focus.
//
// As components/views/compose.py does it: a map is an opacity, and `mixed` there is what a canvas does with opacities.
// The tint of what is out of focus comes from there, by way of /facts.

export const VIEWS = ["map", "overlay", "cut-out"];

export function canvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

export function fitted(width, height, side) {
  // Width and height so that neither is over `side`.
  const shrink = Math.min(1, side / Math.max(width, height));
  return [width, height].map((each) => Math.max(1, Math.round(each * shrink)));
}

export function drawn(bitmap, width, height) {
  // A picture on a canvas of this size.
  const made = canvas(width, height);
  const context = made.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return made;
}

export async function levelsOf(blob, width, height) {
  // The levels 0..255 of a map in a file, brought to this size.
  const options = { resizeWidth: width, resizeHeight: height, resizeQuality: "medium", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(blob, options);
  const context = canvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = context.getImageData(0, 0, width, height).data;
  return Uint8ClampedArray.from({ length: width * height }, (_, i) => pixels[4 * i]);
}

export function opacities(cut) {
  // Opacity by level: the level itself, or all or nothing at `cut`.
  return Uint8ClampedArray.from({ length: 256 }, (_, level) => (cut === null ? level : level >= cut ? 255 : 0));
}

export function share(counts, opacity) {
  // Of the pixels, counted by level: how much is in focus, 0..1.
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count, level) => sum + count * opacity[level], 0) / (255 * total);
}

export function tinted(photograph, { tint, strength }) {
  // The photograph in grey, tinted: what is out of focus in an overlay.
  const made = canvas(photograph.width, photograph.height);
  const context = made.getContext("2d");
  context.drawImage(photograph, 0, 0);
  context.fillStyle = "#000";
  context.globalCompositeOperation = "saturation";
  context.fillRect(0, 0, made.width, made.height);
  context.globalCompositeOperation = "source-over";
  context.globalAlpha = strength;
  context.fillStyle = `rgb(${tint.join(" ")})`;
  context.fillRect(0, 0, made.width, made.height);
  return made;
}

export function mask(levels, opacity, width, height) {
  // White, as opaque as the map says.
  const made = canvas(width, height);
  const pixels = new Uint32Array(width * height);
  const white = Uint32Array.from(opacity, (each) => ((each << 24) | 0xffffff) >>> 0);
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = white[levels[i]];
  made.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
  return made;
}

export function compose(view, target, photograph, background, white) {
  // Paint one of the views: `background` is the photograph tinted, `white` the map as `mask` makes it.
  const { width, height } = photograph;
  if (target.width !== width || target.height !== height) Object.assign(target, { width, height });
  const context = target.getContext("2d");
  const paint = (operation, picture) => {
    context.globalCompositeOperation = operation;
    context.drawImage(picture, 0, 0);
  };
  context.globalCompositeOperation = "source-over";
  context.clearRect(0, 0, width, height);
  if (view === "photograph") return paint("source-over", photograph);
  paint("source-over", white);
  if (view === "map") {
    context.fillStyle = "#000";
    context.globalCompositeOperation = "destination-over";
    return context.fillRect(0, 0, width, height);
  }
  paint("source-in", photograph);
  return view === "overlay" ? paint("destination-over", background) : undefined;
}
