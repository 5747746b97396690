/** Runs one command to its end. */

import { spawn } from "node:child_process";
import process from "node:process";

/** A command that could not be run or did not end with 0. Its output has been told already, or is in `output`. */
export class CommandFailed extends Error {
  /**
   * @param {string} message
   * @param {number} exitCode
   * @param {string} output
   */
  constructor(message, exitCode, output) {
    super(message);
    this.name = "CommandFailed";
    this.exitCode = exitCode;
    this.output = output;
  }
}

/**
 * Runs a command and gives back what it wrote (stdout and stderr together), unless `show` passes it through.
 *
 * A signal that ends this process ends the command first. The time limit kills it.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, show?: boolean, timeoutMs?: number, name?: string }} [options]
 *   `name` is what a failure calls the command
 * @returns {Promise<string>}
 * @throws {CommandFailed} if it cannot be started, does not end with 0, or runs out of time
 */
export function run(command, args, { cwd, env = process.env, show = false, timeoutMs, name } = {}) {
  const title = name ?? [command.split("/").at(-1), ...args.slice(0, 2)].join(" ");
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", ...outputs(show)] });
    const stopForwarding = forwardSignals(child);
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => (output += text));
    child.stderr?.setEncoding("utf8").on("data", (text) => (output += text));
    const limit = timeoutMs === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    /** @param {Error | undefined} failure */
    const settle = (failure) => {
      clearTimeout(limit);
      stopForwarding();
      failure ? reject(failure) : resolve(output);
    };
    child.once("error", (error) => settle(new CommandFailed(`${title}: ${error.message}`, 127, output)));
    child.once("close", (code, signal) => {
      if (code === 0) return settle(undefined);
      settle(new CommandFailed(`${title} ended with ${signal ?? `exit code ${code}`}`, code ?? 1, output));
    });
  });
}

/** @param {boolean} show @returns {["inherit" | "pipe", "inherit" | "pipe"]} */
const outputs = (show) => (show ? ["inherit", "inherit"] : ["pipe", "pipe"]);

/**
 * Passes SIGINT and SIGTERM on, and ends as they would have ended us once the command is gone.
 *
 * @param {import("node:child_process").ChildProcess} child
 */
function forwardSignals(child) {
  /** @param {NodeJS.Signals} signal */
  const forward = (signal) => {
    stop();
    child.once("close", () => process.kill(process.pid, signal));
    child.kill(signal);
  };
  const stop = () => {
    process.off("SIGINT", forward);
    process.off("SIGTERM", forward);
  };
  process.on("SIGINT", forward);
  process.on("SIGTERM", forward);
  return stop;
}
