import { expect, it } from "vitest";
import { openClient } from "../../test/client-fixture.js";
import { bytes } from "../../test/observe.js";
import { RecordingStore } from "../../test/recorders.js";
import { prefixRange } from "./key-range.js";
import { Reflector } from "./reflector.js";

it("a reflector whose lists are overtaken by compaction takes ever larger pages (D18, F41)", async () => {
  const fixture = openClient({
    wrap: (transport) => {
      const range = transport.range.bind(transport);
      return Object.assign(transport, {
        range: async (...args: Parameters<typeof range>) => {
          const page = await range(...args);
          // After each page, the revision that it shows is gone.
          etcd.put("/other", "x");
          etcd.compact(etcd.revision);
          return page;
        },
      });
    },
  });
  const { etcd, clock, client } = fixture;
  const count = 15_000;
  for (let index = 0; index < count; index += 1) etcd.put(`/web/${index}`, "x");
  const store = new RecordingStore();
  const reflector = new Reflector(client, { range: prefixRange(bytes("/web/")), store });
  client.attach(reflector);
  // A list is read in slices, between which the event loop goes round.
  while (store.calls.length === 0) await clock.advance(100);
  expect(clock.now()).toBeLessThan(10_000);
  expect(store.calls).toEqual([expect.stringMatching(/^replace 15000 /)]);
  expect(etcd.callsOf("range").map(({ request }) => request.limit)).toEqual([
    ...[1_000, 10_000],
    ...[1_000, 10_000],
    100_000,
  ]);
  await fixture.end();
});
