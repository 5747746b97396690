import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { startNode } from "../src/index.js";
import { etcdctl } from "./etcdctl.js";

const bin = fileURLToPath(new URL("../bin/sd-etcd.js", import.meta.url));
const ready = /^sd-etcd is ready on (http:\/\/127\.0\.0\.1:(\d+)), .*it keeps nothing$/;

describe("the command sd-etcd", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "serves etcdctl, and ends well by %s, also by two of them",
    async (signal) => {
      await using command = startNode(bin, ["etcd", "--port", "0"]);
      const { text } = await command.waitForLine(ready);
      const [, endpoint = ""] = ready.exec(text) ?? [];
      await etcdctl(endpoint, ["put", "/a", "1"]);
      expect(await etcdctl(endpoint, ["get", "/a"])).toBe("/a\n1\n");
      // npm passes on what the terminal has sent already.
      command.signal(signal);
      command.signal(signal);
      expect(await command.exited).toEqual({ code: 0, signal: null });
      expect(command.lines).toHaveLength(1);
    },
  );

  it("ends with one line if its ready line cannot be written", async () => {
    const child = spawn(process.execPath, [bin, "--port", "0"], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let words = "";
    child.stderr.on("data", (chunk) => {
      words += String(chunk);
    });
    const [code] = await once(child, "close");
    expect([code, words]).toEqual([1, "stdout cannot be written: write EPIPE\n"]);
  });

  it("says which port is taken, and which host lets others in", async () => {
    await using first = startNode(bin, ["--port", "0"]);
    const [, , port = ""] = ready.exec((await first.waitForLine(ready)).text) ?? [];
    await using second = startNode(bin, ["--port", port]);
    expect(await second.exited).toEqual({ code: 1, signal: null });
    expect(second.lines.map(({ text }) => text)).toEqual([
      `port ${port} of 127.0.0.1 is taken: choose another with --port, or 0 for a free one`,
    ]);
    await using open = startNode(bin, ["--host", "0.0.0.0"]);
    expect(await open.exited).toEqual({ code: 2, signal: null });
    expect(open.lines[0]?.text).toContain("--allow-remote");
  });
});
