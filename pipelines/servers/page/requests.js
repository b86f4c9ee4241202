// What the page asks of the program behind it: a few things of a kind at once, the others wait in the page.

export class Requests {
  constructor() {
    this.most = 1; // of a kind; a browser keeps six connections
    this.kinds = new Map();
  }

  async ask(kind, path, words, body, signal, begun) {
    // Send a file once it is its turn, call `begun` then; the answer, or an Error with a line for people.
    await this.turn(kind, signal);
    try {
      begun();
      const answer = await fetch(`${path}?${new URLSearchParams(words)}`, { method: "POST", body, signal });
      if (!answer.ok) throw new Error((await answer.text()).trim());
      return { headers: answer.headers, blob: await answer.blob() };
    } catch (error) {
      throw error instanceof TypeError ? new Error(UNANSWERED) : error;
    } finally {
      this.done(kind);
    }
  }

  turn(kind, signal) {
    if (!this.kinds.has(kind)) this.kinds.set(kind, { working: 0, waiting: [] });
    return new Promise((resolve, reject) => {
      this.kinds.get(kind).waiting.push({ signal, resolve, reject });
      this.next(kind);
    });
  }

  done(kind) {
    this.kinds.get(kind).working -= 1;
    this.next(kind);
  }

  next(kind) {
    const all = this.kinds.get(kind);
    while (all.waiting.length && all.working < this.most) {
      const { signal, resolve, reject } = all.waiting.shift();
      if (signal.aborted) reject(signal.reason);
      else {
        all.working += 1;
        resolve();
      }
    }
  }
}

const UNANSWERED = "No answer: the file cannot be read any more, or `dbdflow look` has ended. Start it and add the photograph again.";
