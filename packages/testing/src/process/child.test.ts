import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode } from "./child.js";

let directory = "";
let script = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sd-child-"));
  script = join(directory, "script.mjs");
  writeFileSync(
    script,
    `console.log("ready", process.env.GREETING, process.argv[2]);
     console.error("a complaint");
     let count = 0;
     setInterval(() => console.log("tick", ++count), 20);
     process.on("SIGTERM", () => { console.log("bye"); process.exit(3); });`,
  );
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("startNode", () => {
  it("captures the lines of both streams, with the time of their arrival", async () => {
    const before = performance.now();
    await using child = startNode(script, ["there"], { env: { GREETING: "hello" } });
    const ready = await child.waitForLine(/^ready/);
    expect(ready).toMatchObject({ text: "ready hello there", stream: "stdout" });
    expect(ready.at).toBeGreaterThan(before);
    expect(await child.waitForLine("complaint")).toMatchObject({ stream: "stderr" });
    expect(await child.waitForLine(({ text }) => text.startsWith("ready"))).toBe(ready);
  });

  it("waits for a later line if told where to begin", async () => {
    await using child = startNode(script);
    const first = await child.waitForLine(/^tick/);
    const second = await child.waitForLine(/^tick/, { from: first.index + 1 });
    expect([first.text, second.text]).toEqual(["tick 1", "tick 2"]);
  });

  it("says what it has seen when a line does not come", async () => {
    await using child = startNode(script);
    await child.waitForLine("tick");
    await expect(child.waitForLine("never", { timeoutMs: 50 })).rejects.toThrow(
      /not in 50 ms[\s\S]*stdout: ready/,
    );
    child.signal("SIGTERM");
    await expect(child.waitForLine("never")).rejects.toThrow('ended with {"code":3,"signal":null}');
  });

  it("has all lines when it has exited", async () => {
    await using child = startNode(script);
    await child.waitForLine("tick");
    child.signal("SIGTERM");
    expect(await child.exited).toEqual({ code: 3, signal: null });
    expect(child.lines.at(-1)?.text).toBe("bye");
  });

  it("writes nothing while it is frozen", async () => {
    await using child = startNode(script);
    await child.waitForLine("tick");
    await child.freeze();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const from = child.lines.length;
    await expect(child.waitForLine("tick", { from, timeoutMs: 100 })).rejects.toThrow("not in 100 ms");
    child.thaw();
    await child.waitForLine("tick", { from });
  });

  it("is killed when it is disposed, even while it is frozen", async () => {
    const child = startNode(script);
    await child.waitForLine("tick");
    await child.freeze();
    await child[Symbol.asyncDispose]();
    expect(await child.exited).toEqual({ code: null, signal: "SIGKILL" });
  });

  it("does not hang on a script that is not there", async () => {
    await using child = startNode(join(directory, "missing.mjs"));
    await expect(child.waitForLine("ready")).rejects.toThrow("Cannot find module");
  });
});
