import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { byWatch, countEvents, type Told } from "./normalise.js";

/** A side's stream of watches. */
export interface Watching {
  readonly watched: readonly Told[];
  forgetWatches(): void;
}

/** Compares what the watches of both sides were told, ends them, and tells how many events that were. */
export async function compareWatches(real: Watching, fake: Watching, whole: boolean): Promise<number> {
  const isLevel = () => countEvents(real.watched) === countEvents(fake.watched);
  for (let waited = 0; waited < 3_000 && !isLevel(); waited += 10) await pause(10);
  // What is too much would come now.
  if (real.watched.length > 0) await pause(150);
  expect(byWatch(fake.watched, whole), "watches").toEqual(byWatch(real.watched, whole));
  const events = countEvents(real.watched);
  real.forgetWatches();
  fake.forgetWatches();
  return events;
}
