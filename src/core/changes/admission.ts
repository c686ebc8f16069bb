/** Changes of who is in: a newcomer gets its name and its address, once and for ever (rule 5). */
import { addressFor, capacityOf } from '../addresses.ts'
import { sortedBy } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import type { Member } from '../genesis.ts'
import { uniqueName } from '../names.ts'
import { memberOf, type Next, type Plan } from '../plan.ts'
import { type SignedRecord, verifyRecord } from '../record.ts'

/** A newcomer is an agent, whatever it says of itself: servers' secrets are never given for a claim (rule 9). */
export function admit(crypto: Crypto, plan: Plan, signed: SignedRecord, next: Next): Plan | null {
  const { record } = signed
  if (memberOf(plan, record.id) !== undefined || !verifyRecord(crypto, signed)) return null
  if (plan.settings.admission !== 'open' || plan.members.length >= plan.settings.maxNodes) return null
  if (plan.settings.vpnMode === 'wireguard' && plan.nextAddress > capacityOf(plan.settings.vpnCidr))
    return null
  const taken = new Set(plan.members.map((member) => member.name))
  const member: Member = {
    id: record.id,
    name: uniqueName(record.claim.name, record.id, taken),
    address: addressFor(plan.settings, plan.nextAddress, record.claim),
    role: 'agent',
    sealKey: record.claim.sealKey,
    wireguardKey: record.claim.wireguardKey,
  }
  const changes = {
    members: sortedBy([...plan.members, member], (m) => m.id),
    nextAddress: plan.nextAddress + 1,
  }
  return next(changes, record.id, 'admitted')
}
