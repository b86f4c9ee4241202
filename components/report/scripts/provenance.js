// A row opens to where its numbers come from; what the checkout remembers of each stage is filled in.
const remembered = typeof dbdflowExecutions === "object" ? dbdflowExecutions : {};

function lasted(seconds) {
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function linked(name, address) {
  // Only pages of servers; anything else is not a link.
  if (!/^https?:\/\//.test(address || "")) return null;
  const link = document.createElement("a");
  link.href = address;
  link.textContent = name;
  return link;
}

function fillExecution(place) {
  const found = remembered[place.dataset.digest];
  if (!found) return;
  const commit = `${String(found.commit).slice(0, 10)}${found.dirty ? " with changes" : ""}`;
  const began = new Date(found.began).toISOString().slice(0, 16).replace("T", " ");
  place.textContent = `${lasted(found.seconds)}, begun ${began} UTC, commit ${commit}`;
  const run = linked("MLflow", found.mlflow) || `MLflow run ${found.mlflow_run} (\`dbdflow up\` shows it)`;
  const flow = linked("Prefect", found.prefect) || "no Prefect server answered";
  for (const each of [run, flow]) place.append(" · ", each);
}

for (const place of document.querySelectorAll("[data-digest]")) fillExecution(place);

function toggleOrigin(button) {
  const inTable = button.closest("table");
  const after = inTable.dataset.table === "runs" ? button.closest("tr") : button.closest("tbody");
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  const key = `${button.dataset.origin} ${inTable.dataset.table}`;
  const there = [...inTable.querySelectorAll("tr.origin")].find((row) => row.dataset.key === key);
  if (open) {
    (inTable.dataset.table === "runs" ? there : there.parentNode).remove();
    return;
  }
  const row = document.createElement("tr");
  row.className = "origin";
  row.dataset.key = key;
  const cell = row.insertCell();
  cell.colSpan = 99;
  const body = document.getElementById(`from-${button.dataset.origin}`).querySelector(".origin-body").cloneNode(true);
  cell.append(body);
  if (inTable.dataset.table === "runs") {
    after.after(row);
  } else {
    const group = document.createElement("tbody");
    group.append(row);
    after.after(group);
  }
}

for (const button of document.querySelectorAll("button[data-origin]")) {
  button.addEventListener("click", () => toggleOrigin(button));
}
