import { execFile } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A TCP connection over 127.0.0.1, by the ports of its two ends. */
export interface LoopbackConnection {
  /** Of the end that is asked for. */
  readonly fromPort: number;
  readonly toPort: number;
}

/**
 * Finds out which of some processes holds an end of a connection; `undefined`: none of them, or no longer.
 *
 * The kernel is asked: by `/proc` on Linux, by `lsof` elsewhere.
 */
export async function socketOwner(
  connection: LoopbackConnection,
  pids: readonly number[],
): Promise<number | undefined> {
  if (process.platform !== "linux") return ownerByLsof(connection, pids);
  const inode = await inodeOf(connection);
  if (inode === undefined) return undefined;
  const owns = await Promise.all(pids.map((pid) => holds(pid, `socket:[${inode}]`)));
  return pids.find((_, index) => owns[index]);
}

/** A line is `n: local remote state queues timer retransmits uid timeout inode …`, addresses in hex. */
async function inodeOf({ fromPort, toPort }: LoopbackConnection): Promise<string | undefined> {
  const table = await readFile("/proc/net/tcp", "utf8");
  const ends = ` ${address(fromPort)} ${address(toPort)} `;
  const line = table.split("\n").find((each) => each.includes(ends));
  return line?.trim().split(/\s+/)[9];
}

function address(port: number): string {
  return `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
}

async function holds(pid: number, wanted: string): Promise<boolean> {
  const directory = `/proc/${pid}/fd`;
  const descriptors = await readdir(directory).catch(() => []);
  const targets = await Promise.all(
    descriptors.map((each) => readlink(`${directory}/${each}`).catch(() => "")),
  );
  return targets.includes(wanted);
}

/** @internal Exported for its test, which runs where there is `/proc` too. */
export async function ownerByLsof(
  { fromPort, toPort }: LoopbackConnection,
  pids: readonly number[],
): Promise<number | undefined> {
  if (pids.length === 0) return undefined;
  // It fails if it finds nothing. `p` lines are processes, `n` lines are `from->to`.
  const { stdout } = await run("lsof", ["-nP", "-a", "-p", pids.join(), `-iTCP:${fromPort}`, "-Fpn"]).catch(
    () => ({ stdout: "" }),
  );
  let pid: number | undefined;
  for (const line of stdout.split("\n")) {
    if (line.startsWith("p")) pid = Number(line.slice(1));
    if (line === `n127.0.0.1:${fromPort}->127.0.0.1:${toPort}`) return pid;
  }
  return undefined;
}
