import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../clock/manual-clock.js";
import { FakeDiscovery, instance } from "./fake-discovery.fixture.js";
import { type ChangeRecording, recordChanges } from "./record-changes.js";

describe("recordChanges", () => {
  const [a2, a5, b3] = [instance("a", 2), instance("a", 5), instance("b", 3)];
  let discovery: FakeDiscovery;
  let clock: ManualClock;
  let recording: ChangeRecording<typeof a2>;

  beforeEach(() => {
    discovery = new FakeDiscovery();
    discovery.show([a2], 2);
    clock = new ManualClock();
    recording = recordChanges(discovery, { clock });
  });

  it("keeps every change in order, with its revision and its time", async () => {
    discovery.tell(3, [{ type: "added", instance: b3 }]);
    await clock.advance(10);
    discovery.tell(5, [
      { type: "updated", instance: a5 },
      { type: "removed", instance: b3 },
    ]);
    discovery.show([a5], 5);
    expect(recording.log).toEqual(["+/web/b", "~/web/a", "-/web/b"]);
    expect(recording.messages.map(({ revision, epoch, at }) => [revision, epoch, at])).toEqual([
      [3, 1, 0],
      [5, 1, 10],
    ]);
    expect(recording.keys).toEqual(["/web/a"]);
    expect(recording.problems()).toEqual([]);
    recording[Symbol.dispose]();
    discovery.tell(6, [{ type: "removed", instance: a5 }]);
    expect(recording.messages).toHaveLength(2);
  });

  it("finds revisions that go back, but not in a new epoch", () => {
    discovery.tell(9, []);
    discovery.tell(9, []);
    discovery.tell(4, [], 2);
    expect(recording.problems()).toEqual([]);
    discovery.tell(3, [], 2);
    discovery.tell(9, [], 1);
    expect(recording.problems()).toEqual([
      "revision 3 (epoch 2) after 4 (epoch 2)",
      "revision 9 (epoch 1) after 3 (epoch 2)",
    ]);
  });

  it("finds what was told twice, or does not fit", () => {
    discovery.show([a5], 5);
    discovery.tell(2, [{ type: "added", instance: a2 }]);
    discovery.tell(3, [{ type: "removed", instance: b3 }]);
    discovery.tell(5, [{ type: "updated", instance: a5 }]);
    discovery.tell(5, [{ type: "updated", instance: a5 }]);
    expect(recording.problems()).toEqual([
      "+/web/a at 2, which was there",
      "-/web/b at 3, which was not there",
      "~/web/a of 5 after that of 5",
    ]);
  });

  it("finds what was lost", () => {
    discovery.show([b3], 3);
    expect(recording.problems()).toEqual(["/web/a went untold", "/web/b came untold"]);
    discovery.show([a5], 5);
    expect(recording.problems()).toEqual(["/web/a changed untold"]);
  });
});
