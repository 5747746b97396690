import { AlarmAction, type AlarmMember, type AlarmRequest, AlarmType } from "./api/cluster.js";

/** The alarms that are raised, each by a member. */
export class Alarms {
  readonly #raised: AlarmMember[] = [];

  /** Whether the store is full: nothing can be put, and no lease granted. */
  get isFull(): boolean {
    return this.#of(AlarmType.noSpace).length > 0;
  }

  get all(): readonly AlarmMember[] {
    return this.#raised;
  }

  /** Answers with the alarms that it is about. `isBare`: "none" is an alarm like others, as in etcd 3.4. */
  handle({ action, memberId, alarm }: AlarmRequest, isBare: boolean): readonly AlarmMember[] {
    if (action === AlarmAction.get) return this.#of(alarm);
    const index = this.#raised.findIndex((each) => each.memberId === memberId && each.alarm === alarm);
    if (action === AlarmAction.deactivate) return index < 0 ? [] : this.#raised.splice(index, 1);
    if (action !== AlarmAction.activate || (alarm === AlarmType.none && !isBare)) return [];
    if (index < 0) this.#raised.push({ memberId, alarm });
    return [{ memberId, alarm }];
  }

  clear(): void {
    this.#raised.length = 0;
  }

  #of(type: number): AlarmMember[] {
    return this.#raised.filter(({ alarm }) => type === AlarmType.none || alarm === type);
  }
}

/** An alarm as `Status` tells it. */
export function alarmText({ memberId, alarm }: AlarmMember): string {
  const names: Readonly<Record<number, string>> = {
    [AlarmType.noSpace]: "alarm:NOSPACE ",
    [AlarmType.corrupt]: "alarm:CORRUPT ",
  };
  return `memberID:${memberId} ${names[alarm] ?? ""}`;
}
