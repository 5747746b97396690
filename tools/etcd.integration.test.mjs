/** What `npm run etcd` and `npm run demo` run, each as a process of its own. */

import { join } from "node:path";
import { EtcdProcess, startNode } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { checkout } from "./lib/checkout.mjs";

const serve = join(checkout, "tools", "etcd", "serve.mjs");
const demo = join(checkout, "tools", "demo", "demo.mjs");

/**
 * Runs a program until `work` is done with it, and no longer.
 *
 * @param {Parameters<typeof startNode>} program
 * @param {(command: import("@sd/testing").NodeChild) => Promise<void>} work
 */
async function running(program, work) {
  const command = startNode(...program);
  try {
    await work(command);
  } finally {
    await command[Symbol.asyncDispose]();
  }
}

describe("npm run etcd", () => {
  it.each([
    [
      ["--port", "0"],
      /^sd-etcd is ready on http:\/\/127\.0\.0\.1:\d+, like etcd 3\.5\.30, in memory: it keeps nothing$/,
    ],
    [["--real", "--port", "0"], /^--port must be a number above 0/],
  ])("with %j writes one line and ends well", async (args, line) => {
    await running([serve, args], async (command) => {
      await command.waitForLine(line);
      command.signal("SIGINT");
      await command.exited;
      expect(command.lines).toHaveLength(1);
    });
  });

  it("runs a real etcd if asked for", async () => {
    // A port that was free a moment ago.
    const etcd = await EtcdProcess.start();
    await etcd[Symbol.asyncDispose]();
    await running([serve, ["--real", "--port", String(etcd.port)]], async (command) => {
      const line = /^etcd 3\.\d+\.\d+ serves at .*; it keeps nothing; Ctrl-C ends it$/;
      await command.waitForLine(line, { timeoutMs: 30_000 });
      command.signal("SIGTERM");
      expect(await command.exited).toEqual({ code: 0, signal: null });
    });
  });
});

describe("the demo", () => {
  it("plays without any etcd on this machine, and leaves nothing running", async () => {
    const play = `import { Demo } from ${JSON.stringify(demo)}; process.exitCode = await new Demo().run({ seconds: 3 });`;
    const options = { nodeArgs: ["--input-type=module", "-e"], env: { PATH: "", SD_ETCD_BIN: "" } };
    await running([play, [], options], async (command) => {
      await command.waitForLine("demo: ended, nothing is left running", { timeoutMs: 40_000 });
      expect(await command.exited).toEqual({ code: 0, signal: null });
      const lines = command.lines.map(({ text }) => text).join("\n");
      for (const part of [
        "put key : /web/node1",
        "put key : /gRPC/node1",
        "续约成功",
        "del key: /web/node1",
      ]) {
        expect(lines).toContain(part);
      }
    });
  });
});
