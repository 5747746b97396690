import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Defect, defects } from "./defects.js";
import { hunt, plant } from "./plant.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sd-zoo-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the bug zoo", { timeout: 120_000 }, () => {
  it("shows the seed that finds a resume from header.revision", async () => {
    const [defect] = defects as [Defect];
    expect(defect.name).toContain("header.revision");
    const file = join(folder, "resume.mjs");
    await plant(defect, file);
    const caught = await hunt(file, { from: 1, seeds: 200, invariants: defect.breaks, isShrunk: true });
    expect(caught?.lines[0]).toBe(
      `seed ${caught?.seed} fails (npm run simulate -- --seed ${caught?.seed}), with these steps left:`,
    );
    expect(caught?.lines.join("\n")).toMatch(/burst[\s\S]*(D1|D3) /);
  });

  it("finds nothing in a copy without a defect", async () => {
    const file = join(folder, "sound.mjs");
    await plant({ name: "none", breaks: [], patches: [] }, file);
    const all = [...new Set(defects.flatMap(({ breaks }) => breaks))];
    expect(await hunt(file, { from: 1, seeds: 5, invariants: all, isShrunk: false })).toBe(undefined);
  });

  it.each(defects)("has a place for a defect that $name", async (defect) => {
    await plant(defect, join(folder, "planted.mjs"));
  });

  it("says which patch has lost its place", async () => {
    const patches = [{ file: "core/src/watch/watch.ts", find: "no such line", replace: "" }];
    await expect(plant({ name: "lost", breaks: [], patches }, join(folder, "lost.mjs"))).rejects.toThrow(
      "core/src/watch/watch.ts holds this 0 times: no such line",
    );
  });
});
