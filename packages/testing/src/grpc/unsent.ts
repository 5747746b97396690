/** A client that leaves more than this unread has fallen behind. */
const MAX_BYTES = 4 * 2 ** 20;
const MAX_MESSAGES = 1_000;

/** What was written to a stream, and has not left this process: its client does not read. */
export class Unsent {
  readonly #onBehind: () => void;
  readonly #onLevel: () => void;
  #bytes = 0;
  #messages = 0;
  #isBehind = false;

  constructor(onBehind: () => void, onLevel: () => void) {
    this.#onBehind = onBehind;
    this.#onLevel = onLevel;
  }

  /** Counts a message; call the result when it has left. */
  add(bytes: number): () => void {
    this.#bytes += bytes;
    this.#messages += 1;
    if (!this.#isBehind && (this.#bytes > MAX_BYTES || this.#messages > MAX_MESSAGES)) {
      this.#isBehind = true;
      this.#onBehind();
    }
    return () => {
      this.#bytes -= bytes;
      this.#messages -= 1;
      if (!this.#isBehind || this.#bytes > MAX_BYTES / 4 || this.#messages > MAX_MESSAGES / 4) return;
      this.#isBehind = false;
      this.#onLevel();
    };
  }
}
