/** The processes of the demo: started side by side, their lines prefixed, none left behind. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";

/**
 * @typedef {object} Member
 * @property {string} name
 * @property {number | NodeJS.Signals | undefined} ending its exit code, or the signal that killed it; unset while it runs
 * @property {Promise<void>} ended settles when it has ended and its last line is out
 * @property {(pattern: RegExp, count?: number) => boolean} hasShown whether so many of its lines matched
 * @property {(pattern: RegExp, count?: number) => Promise<void>} shown settles when so many of its lines have matched
 * @property {(limitMs?: number) => Promise<void>} stop SIGTERM; SIGKILL after `limitMs`
 */

const colours = process.stdout.isTTY && !process.env["NO_COLOR"] ? [36, 32, 33, 35] : [];

/**
 * Starts processes that lead their own process groups: a Ctrl-C in the terminal reaches the demo alone, which then
 * ends them in order. Whatever ends the demo itself, a reaper kills what it left.
 */
export class Family {
  /** @type {Member[]} */
  members = [];
  /** @type {Set<import("node:child_process").ChildProcess>} */
  #running = new Set();
  #reaper = spawn(process.execPath, [join(import.meta.dirname, "reaper.mjs")], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });

  constructor() {
    this.#reaper.stdin.on("error", () => {});
    process.once("exit", () => this.killAll());
  }

  /**
   * Starts a Node program.
   *
   * @param {string} name
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   * @returns {Member}
   */
  start(name, args, env) {
    const child = spawn(process.execPath, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    this.#adopt(child);
    const colour = colours[this.members.length % colours.length];
    const prefix =
      colour === undefined ? `${name.padEnd(6)} | ` : `\x1b[${colour}m${name.padEnd(6)} |\x1b[0m `;
    /** @type {string[]} */
    const lines = [];
    /** @type {Set<() => void>} */
    const readers = new Set();
    const outputs = [child.stdout, child.stderr].map((input) => {
      const reader = createInterface({ input, crlfDelay: Infinity });
      reader.on("line", (line) => {
        process.stdout.write(`${prefix}${line}\n`);
        lines.push(line);
        for (const look of readers) look();
      });
      return new Promise((resolve) => reader.once("close", resolve));
    });
    /** @type {Promise<void>} */
    const exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        member.ending = code ?? signal ?? undefined;
        resolve();
      });
    });
    /** @type {Member} */
    const member = {
      name,
      ending: undefined,
      ended: Promise.all([exited, ...outputs]).then(() => {}),
      hasShown: (pattern, count = 1) => lines.filter((line) => pattern.test(line)).length >= count,
      shown: (pattern, count) =>
        new Promise((resolve) => {
          const look = () => {
            if (!member.hasShown(pattern, count)) return;
            readers.delete(look);
            resolve();
          };
          readers.add(look);
          look();
        }),
      stop: async (limitMs = 10_000) => {
        const limit = setTimeout(() => child.kill("SIGKILL"), limitMs);
        child.kill("SIGTERM");
        await member.ended;
        clearTimeout(limit);
      },
    };
    this.members.push(member);
    return member;
  }

  /** @param {import("node:child_process").ChildProcess} child */
  #adopt(child) {
    if (child.pid === undefined) return;
    this.#running.add(child);
    this.#tellReaper(`+${child.pid}`);
    child.once("exit", () => {
      this.#running.delete(child);
      this.#tellReaper(`-${child.pid}`);
    });
  }

  /** Ends the reaper, when all others have ended. */
  async close() {
    this.#reaper.stdin.end();
    if (this.#reaper.exitCode === null) await once(this.#reaper, "exit");
  }

  /** Kills everything at once. */
  killAll() {
    for (const child of this.#running) child.kill("SIGKILL");
  }

  /** @param {string} line */
  #tellReaper(line) {
    this.#reaper.stdin.write(`${line}\n`);
  }
}
