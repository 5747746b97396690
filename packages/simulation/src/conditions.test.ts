import { describe, expect, it } from "vitest";
import { conditions } from "./conditions.js";

describe("The conditions of a run", () => {
  it.each([
    [[], "npm run soak"],
    [["--minutes", "30", "--json", "soak.json", "--secure"], "npm run soak -- --minutes 30 --secure"],
    [["--json=soak.json", "--log-file=soak.log", "--seed=7"], "npm run soak -- --seed=7"],
  ])("name the command of %j without its files, as they are printed in the documents", (given, command) => {
    expect(conditions("soak", {}, given)).toMatchObject({ command });
  });
});
