import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { runEtcd } from "./run-etcd.js";

/** Runs the command; ends it as soon as it has written something. */
async function run(...argv: string[]) {
  const controller = new AbortController();
  let out = "";
  let error = "";
  const code = await runEtcd(argv, {
    out: (text) => {
      out += text;
      controller.abort();
    },
    error: (text) => {
      error += text;
    },
    signal: controller.signal,
  });
  return { code, out, error };
}

describe("sd-etcd", () => {
  it("prints one ready line that says that it keeps nothing, and ends when told", async () => {
    for (const argv of [
      ["--port", "0"],
      ["etcd", "--port=0", "--host=localhost", "--like=3.4.23"],
    ]) {
      const { code, out, error } = await run(...argv);
      expect([code, error]).toEqual([0, ""]);
      expect(out).toMatch(
        /^sd-etcd is ready on http:\/\/(127\.0\.0\.1|localhost):\d+, like etcd 3\.[45]\.\d+, in memory: it keeps nothing\n$/,
      );
    }
  });

  it("refuses an address that others can reach, unless told", async () => {
    const { code, error } = await run("--port=0", "--host=0.0.0.0");
    expect([code, error.split("\n").length]).toEqual([2, 2]);
    expect(error).toContain("--allow-remote");
    expect(await run("--port=0", "--host=0.0.0.0", "--allow-remote")).toMatchObject({ code: 0 });
  });

  it("says what to do about a port that is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const { code, out, error } = await run(`--port=${port}`);
    taken.close();
    expect([code, out]).toEqual([1, ""]);
    expect(error).toBe(
      `port ${port} of 127.0.0.1 is taken: choose another with --port, or 0 for a free one\n`,
    );
  });

  it("explains itself", async () => {
    const { code, out } = await run("--help");
    expect([code, out.startsWith("Usage: sd-etcd")]).toEqual([0, true]);
  });

  it.each([
    [["--prot=1"]],
    [["--port"]],
    [["--port=x"]],
    [["--port=65536"]],
    [["--like=3.6"]],
    [["--keep-changes=-1"]],
    [["serve"]],
  ])("refuses %j in one line", async (argv) => {
    const { code, out, error } = await run(...argv);
    expect([code, out, error.split("\n").length]).toEqual([2, "", 2]);
  });
});
