import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { eventually } from "../check/eventually.js";

const run = promisify(execFile);

/**
 * Stops a process where it is, by SIGSTOP, and resolves once it stands.
 *
 * The signal alone returns early: on another core the process may still answer a request or two.
 *
 * @throws Error if there is no such process.
 */
export async function freezeProcess(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  await eventually(async () => (await stateOf(pid)).startsWith("T"), { everyMs: 1 });
}

/** A letter: `T` is stopped. */
async function stateOf(pid: number): Promise<string> {
  if (process.platform === "linux") {
    // `pid (name) state ...`, where a name may hold anything.
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2);
  }
  const { stdout } = await run("ps", ["-o", "state=", "-p", String(pid)]);
  return stdout.trim();
}
