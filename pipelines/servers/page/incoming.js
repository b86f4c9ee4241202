// Files that are dropped on the page or pasted into it.

export function filesOf(target, take) {
  // Call `take` with the files of each drop, those of dropped folders too.
  const dropping = (on) => document.body.classList.toggle("dropping", on);
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  target.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    dropping(true);
  });
  target.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) dropping(false);
  });
  target.addEventListener("drop", async (event) => {
    dropping(false);
    if (!brings(event)) return;
    event.preventDefault();
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    const files = [...event.dataTransfer.files];
    const folders = entries.some((entry) => entry?.isDirectory);
    take(folders ? (await Promise.all(entries.filter(Boolean).map(below))).flat() : files);
  });
}

async function below(entry) {
  // All files of a folder; of a name that is hidden, none.
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return (await Promise.all(found.map(below))).flat();
    found.push(...some);
  }
}

export function pasted(target, take) {
  target.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files);
  });
}
