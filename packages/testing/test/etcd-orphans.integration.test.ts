import { mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { eventually, startNode } from "../src/index.js";

// It runs the built package, as a user's test process does; one version: it is our processes that are looked after.
describe("a test process that is killed", () => {
  it.each(["SIGKILL", "SIGTERM"] as const)("leaves no etcd and no file behind (%s)", async (signal) => {
    const directory = mkdtempSync(join(tmpdir(), "sd-orphans-"));
    const script = new URL("./etcd-orphans.mjs", import.meta.url).pathname;
    await using child = startNode(script, [], { env: { TMPDIR: directory } });
    const line = await child.waitForLine("pids", { timeoutMs: 30_000 });
    const pids = line.text.slice("pids ".length).split(",").map(Number);
    expect(pids).toHaveLength(2);
    expect(pids.map(isAlive)).toEqual([true, true]);
    expect(readdirSync(directory)).toHaveLength(2);
    child.signal(signal);
    await child.exited;
    await eventually(() => !pids.some(isAlive) && readdirSync(directory).length === 0, { timeoutMs: 10_000 });
    rmdirSync(directory);
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
