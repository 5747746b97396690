import process from "node:process";
import { afterEach, describe, expect, it, vi } from "vitest";
import { stopSignal } from "./run.js";

const signals = ["SIGINT", "SIGTERM"] as const;
const before = signals.map((name) => process.listeners(name));
afterEach(() => {
  vi.restoreAllMocks();
  for (const [index, name] of signals.entries()) {
    for (const listener of process.listeners(name)) {
      if (!before[index]?.includes(listener)) process.off(name, listener);
    }
  }
});

describe("stopSignal()", () => {
  it("takes the Ctrl-C that npm passes on for the one that the terminal has sent, and a later one for another", () => {
    const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
    const now = vi.spyOn(performance, "now");
    const emitAt = (ms: number, name: "SIGINT" | "SIGTERM"): void => {
      now.mockReturnValue(ms);
      process.emit(name, name);
    };
    const stop = stopSignal();
    emitAt(1_000, "SIGINT");
    expect([stop.aborted, stop.reason]).toEqual([true, "SIGINT"]);
    emitAt(1_001, "SIGINT");
    emitAt(1_300, "SIGINT");
    expect(exit).not.toHaveBeenCalled();
    emitAt(1_301, "SIGINT");
    emitAt(1_302, "SIGTERM");
    expect(exit.mock.calls).toEqual([[130], [143]]);
  });
});
