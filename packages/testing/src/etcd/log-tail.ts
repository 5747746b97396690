import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

const MAX_LINES = 500;

/** The last 500 lines of a log. */
export class LogTail {
  readonly #lines: string[] = [];

  /** Adds what a stream says, line by line. */
  follow(input: Readable): void {
    createInterface({ input }).on("line", (line) => this.add(line));
  }

  add(line: string): void {
    this.#lines.push(line);
    this.#lines.splice(0, this.#lines.length - MAX_LINES);
  }

  toString(): string {
    return this.#lines.join("\n");
  }
}
