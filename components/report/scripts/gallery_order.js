// Which photographs are shown, and in which order: no part of the page is touched here.
// state: first, second (methods), metric, by (first | second | difference), descending, set, dof, low, high (%).

function sortValue(data, state, index) {
  const of = (run) => ((data.scores[run] || {})[state.metric] || [])[index] ?? null;
  const first = of(state.first);
  const second = of(state.second);
  if (state.by === "first") return first;
  if (state.by === "second") return second;
  return first === null || second === null ? null : second - first;
}

function passes(data, state, index) {
  const all = data.photographs;
  const focus = all.focus[index] / 10;
  return (state.set === "" || all.sets[index].includes(Number(state.set)))
    && (state.dof === "" || all.dof[index] === Number(state.dof))
    && focus >= state.low && focus <= state.high;
}

function ordered(data, state) {
  // Indices of the photographs to show; those without the value come last, equal ones as they lie.
  const found = data.photographs.id.map((_, index) => index).filter((index) => passes(data, state, index));
  const values = new Map(found.map((index) => [index, sortValue(data, state, index)]));
  const sign = state.descending ? -1 : 1;
  return found.sort((a, b) => {
    const [left, right] = [values.get(a), values.get(b)];
    if (left === null || right === null) return (left === null) - (right === null) || a - b;
    return sign * (left - right) || a - b;
  });
}

function startState(data) {
  const runs = data.methods.map((method) => method.run);
  const [first, second] = runs.includes("dffnet") && runs.includes("d_dffnet")
    ? ["dffnet", "d_dffnet"] : [runs[0], runs[1] || runs[0]];
  return {
    methods: new Set([first, second]), view: "side", first, second, metric: data.metrics[0].key, by: "difference",
    descending: false, set: "", dof: "", low: 0, high: 100, page: 0, question: "",
  };
}

function answering(data, question) {
  // The state in which the gallery answers one of the paper's questions: the second method's largest gain first.
  const better = data.metrics.find((metric) => metric.key === question.metric).better;
  return {
    ...startState(data), methods: new Set([question.first, question.second]), view: question.view,
    first: question.first, second: question.second, metric: question.metric, descending: better === "higher",
    dof: question.dof === "" ? "" : String(["shallow", "wide"].indexOf(question.dof)), question: question.key,
  };
}
