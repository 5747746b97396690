import type { EtcdProcess } from "./etcd-process.js";
import type { MemberStatus } from "./member-status.js";

/**
 * The member that most of them take for their leader; `false`: there is none. One that is silent takes none, and
 * one that cannot hear a member only has not noticed yet.
 */
export async function findLeader(
  members: readonly EtcdProcess[],
  hears: (member: EtcdProcess, leader: EtcdProcess) => boolean,
): Promise<EtcdProcess | false> {
  const statuses = await Promise.all(members.map(statusOf));
  for (const [index, leader] of members.entries()) {
    const id = statuses[index]?.memberId;
    const followers = members.filter(
      (member, each) => id !== undefined && statuses[each]?.leaderId === id && hears(member, leader),
    );
    if (followers.length * 2 > members.length) return leader;
  }
  return false;
}

async function statusOf(member: EtcdProcess): Promise<MemberStatus | undefined> {
  if (!member.isRunning) return undefined;
  return member.status().catch(() => undefined);
}
