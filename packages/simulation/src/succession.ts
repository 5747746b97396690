import type { RegistrationSubject } from "./registration-subject.js";
import type { World } from "./world.js";

/** All that R13 allows, and a moment. */
const REST_MS = 11_000;
/** etcd ends leases twice a second; after that the next owner has a claim to make. */
const ENTRY_MS = 1_500;

/** One of the rivals has the key; each time that its owner dies, another is there when its lease has ended. */
export async function succeed(world: World): Promise<void> {
  const { clock, units } = world;
  await clock.advance(REST_MS);
  for (let owner = checkOwner(world); owner; owner = checkOwner(world)) {
    if (rivals(world).length === 1) return;
    const unit = units.find(({ process }) => process === owner?.process);
    if (!unit) return;
    world.crash(unit);
    await clock.advance(owner.wish.ttlSeconds * 1_000 + ENTRY_MS);
  }
}

function checkOwner(world: World): RegistrationSubject | undefined {
  const { record } = world;
  const wanting = rivals(world);
  const owners = wanting.filter(({ state }) => state.status === "registered");
  const [owner] = owners;
  if (owners.length === 1) return owner;
  const states = wanting.map(({ name, state }) => `${name} is ${state.status}`);
  record.blame("R13", owner?.key ?? "-", `has ${owners.length} owners: ${states.join(", ")}`);
  return undefined;
}

function rivals({ registrations }: World): RegistrationSubject[] {
  return registrations.filter(({ isWanted }) => isWanted);
}
