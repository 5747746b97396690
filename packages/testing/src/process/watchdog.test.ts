import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { eventually } from "../check/eventually.js";
import { Watchdog } from "./watchdog.js";

describe("Watchdog", () => {
  it("kills and removes what is still guarded once its parent is gone, frozen or not", async () => {
    const watchdog = new Watchdog();
    const [frozen, free] = [spawn("sleep", ["60"]), spawn("sleep", ["60"])];
    const [kept, lost] = [
      mkdtempSync(join(tmpdir(), "sd-watchdog-")),
      mkdtempSync(join(tmpdir(), "sd-watchdog-")),
    ];
    writeFileSync(join(lost, "file"), "");
    try {
      frozen.kill("SIGSTOP");
      for (const child of [frozen, free]) watchdog.add(`pid:${Number(child.pid)}`);
      for (const path of [kept, lost]) watchdog.add(`dir:${path}`);
      watchdog.remove(`pid:${Number(free.pid)}`);
      watchdog.remove(`dir:${kept}`);
      watchdog.end();
      const [, signal] = await once(frozen, "exit");
      expect(signal).toBe("SIGKILL");
      await eventually(() => !existsSync(lost), { timeoutMs: 5_000 });
      expect(existsSync(kept)).toBe(true);
      expect(free.exitCode).toBe(null);
      expect(free.signalCode).toBe(null);
    } finally {
      for (const child of [frozen, free]) child.kill("SIGKILL");
      for (const path of [kept, lost]) rmSync(path, { recursive: true, force: true });
    }
  });
});
