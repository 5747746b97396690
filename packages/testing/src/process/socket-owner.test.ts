import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type NodeChild, startNode } from "./child.js";
import { ownerByLsof, socketOwner } from "./socket-owner.js";

const script = new URL("../../test/connect.mjs", import.meta.url).pathname;
const hasLsof = (() => {
  try {
    execFileSync("lsof", ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

describe.each([
  ["socketOwner", socketOwner],
  // What macOS has always; on Linux it may be missing, and is not used.
  ...(hasLsof ? [["ownerByLsof", ownerByLsof] as const] : []),
] as const)("%s", (_name, ownerOf) => {
  const children: NodeChild[] = [];
  afterEach(() => Promise.all(children.splice(0).map((child) => child[Symbol.asyncDispose]())));

  it("tells apart who has connected to the same port", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const toPort = typeof address === "object" && address ? address.port : 0;
    const connections: number[] = [];
    for (const _ of [1, 2]) {
      const connected = once(server, "connection");
      children.push(startNode(script, [String(toPort)]));
      const [socket] = (await connected) as [Socket];
      socket.on("error", () => {});
      connections.push(Number(socket.remotePort));
    }
    const pids = children.map(({ pid }) => Number(pid));
    const [first = 0, second = 0] = connections;
    expect(await ownerOf({ fromPort: first, toPort }, pids)).toBe(pids[0]);
    expect(await ownerOf({ fromPort: second, toPort }, pids)).toBe(pids[1]);
    expect(await ownerOf({ fromPort: second, toPort }, pids.slice(0, 1))).toBe(undefined);
    expect(await ownerOf({ fromPort: second, toPort }, [])).toBe(undefined);
    expect(await ownerOf({ fromPort: second, toPort: first }, pids)).toBe(undefined);
    server.close();
  });
});
