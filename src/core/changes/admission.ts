/** Changes of who is in: a newcomer gets its name and its address, once and for ever (rule 5). */
import { addressFor, capacityOf } from '../addresses.ts'
import { sortedBy } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import type { Member } from '../genesis.ts'
import { uniqueName } from '../names.ts'
import { departedOf, memberOf, type Next, type Plan } from '../plan.ts'
import { type SignedRecord, verifyRecord } from '../record.ts'
import { takenNames } from './membership.ts'

/** Where anybody with the token may come in. */
export function admit(crypto: Crypto, plan: Plan, signed: SignedRecord, next: Next): Plan | null {
  const isOpen = plan.settings.admission === 'open'
  const changes = isOpen && admissionFault(crypto, plan, signed) === null ? enter(plan, signed, false) : null
  return changes === null ? null : next(changes, signed.record.id, 'admitted')
}

/** Why nobody could let this node in; null where it can be. */
export function admissionFault(crypto: Crypto, plan: Plan, signed: SignedRecord): string | null {
  const { record } = signed
  const left = departedOf(plan, record.id)
  if (left !== undefined) return left.why === 'revoked' ? 'it was revoked' : 'it left the cluster'
  if (memberOf(plan, record.id) !== undefined) return 'it is in already'
  if (!verifyRecord(crypto, signed)) return 'its record is not its own'
  if (plan.members.length >= plan.settings.maxNodes) return `${plan.settings.maxNodes} nodes are in already`
  const isFull = plan.settings.vpnMode === 'wireguard' && plan.nextAddress > capacityOf(plan.settings.vpnCidr)
  return isFull ? `all addresses of ${plan.settings.vpnCidr} were given` : null
}

/** A newcomer is an agent, whatever it says of itself: servers' secrets are never given for a claim (rule 9). */
export function enter(
  plan: Plan,
  { record }: SignedRecord,
  mayServe: boolean,
): Pick<Plan, 'members' | 'nextAddress'> {
  const member: Member = {
    id: record.id,
    name: uniqueName(record.claim.name, record.id, takenNames(plan)),
    address: addressFor(plan.settings, plan.nextAddress, record.claim),
    role: 'agent',
    mayServe,
    sealKey: record.claim.sealKey,
    wireguardKey: record.claim.wireguardKey,
  }
  return {
    members: sortedBy([...plan.members, member], (m) => m.id),
    nextAddress: plan.nextAddress + 1,
  }
}
