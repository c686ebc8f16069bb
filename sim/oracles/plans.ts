/**
 * Rules 3, 5, 9 and 10 of plans: certified ones are unique, form a chain that loses nothing, and were really
 * signed by a majority of the voters before and of those after; what a node acts on never goes back; an address
 * is one node's for ever; nobody becomes a server, comes in, or commands who may not; the revoked stay out.
 */
import type { Genesis } from '../../src/core/genesis.ts'
import type { NodeId } from '../../src/core/ids.ts'
import type { CertifiedPlan, Plan } from '../../src/core/plan.ts'
import { contentOf, short } from './contents.ts'
import type { Copies } from './copies.ts'
import type { People } from './people.ts'
import type { ReplicationOracle } from './replication.ts'
import type { Oracle, Violate } from './watch.ts'

interface Era {
  readonly founders: Genesis
  /** Certified plans by index. */
  readonly plans: Map<number, CertifiedPlan>
  readonly indexes: number[]
  readonly addresses: Map<string, NodeId>
  readonly owners: Map<NodeId, string>
  /** The lowest plan index at which each is revoked. */
  readonly revoked: Map<NodeId, number>
  readonly names: Map<string, NodeId>
}

export interface PlanOracle extends Oracle {
  /** Datastore IDs ever recorded as done, all eras. */
  done(): ReadonlySet<string>
  highestIndex(): number
  /** All who were servers in any certified plan. */
  wereServers(): ReadonlySet<NodeId>
  /** The certified plan of the highest index; null before there is one. */
  newest(): CertifiedPlan | null
  /** Whose address it is, by certified plans. */
  ownerOf(era: string, address: string): NodeId | undefined
}

export function createPlanOracle(
  violate: Violate,
  replication: ReplicationOracle,
  liars: ReadonlySet<NodeId>,
  copies: Copies,
  people: People,
): PlanOracle {
  const eras = new Map<string, Era>()
  const done = new Map<string, Set<string>>()
  const seen = new Set<string>()
  const served = new Set<NodeId>()
  let highest = 0
  let newest: CertifiedPlan | null = null

  const eraOf = (certified: CertifiedPlan, founders: Genesis): Era => {
    const { era } = certified.plan
    let entry = eras.get(era)
    if (entry === undefined) {
      entry = {
        founders,
        plans: new Map(),
        indexes: [],
        addresses: new Map(),
        owners: new Map(),
        revoked: new Map(),
        names: new Map(),
      }
      eras.set(era, entry)
    }
    return entry
  }

  const checkContent = (era: Era, { plan, index }: CertifiedPlan): void => {
    const names = new Set<string>()
    for (const member of plan.members) {
      if (names.has(member.name)) violate(5, `two members are called ${member.name} in plan ${index}`)
      names.add(member.name)
      const named = era.names.get(member.name)
      const before = plan.departed.find(({ id }) => id === named)
      const passedOn = before === undefined || before.why === 'replaced' || before.why === 'revoked'
      if (named !== undefined && named !== member.id && !passedOn)
        violate(5, `${member.name} is ${member.id} in plan ${index}, and was ${named}, who left`)
      era.names.set(member.name, member.id)
      const owner = era.addresses.get(member.address)
      const address = era.owners.get(member.id)
      if ((owner ?? member.id) !== member.id || (address ?? member.address) !== member.address) {
        violate(5, `${member.address} is ${member.id}'s in plan ${index}, and was ${owner ?? member.id}'s`)
      }
      era.addresses.set(member.address, member.id)
      era.owners.set(member.id, member.address)
      const isServer = member.role === 'server'
      if (isServer) served.add(member.id)
      if (isServer && (!mayServe(era, plan, member.id) || !plan.voters.includes(member.id)))
        violate(9, `${member.id} became a server`)
      if (index > (era.revoked.get(member.id) ?? index))
        violate(10, `${member.id} was revoked, and is in plan ${index}`)
    }
    const isLawful = (id: NodeId): boolean =>
      plan.members.some((member) => member.id === id && member.role === 'server') ||
      (plan.act?.kind === 'remove' && plan.act.node === id) ||
      plan.departed.some((left) => left.id === id && left.why === 'revoked')
    const intruder = plan.voters.find((id) => !isLawful(id))
    if (intruder !== undefined) violate(9, `${intruder} votes in plan ${index}, and is no server`)
    for (const { id, why } of plan.departed) {
      if (why === 'revoked') era.revoked.set(id, Math.min(index, era.revoked.get(id) ?? index))
    }
    people.signedLines(plan.history)
    const thief = plan.history.find(({ by }) => by !== null && !people.isPerson(by.who))
    if (thief !== undefined) violate(9, `${thief.by?.who} commanded '${thief.cause}' in plan ${index}`)
    const { clusterId, members, initialiser } = plan.datastore
    const servers = [
      ...members,
      ...(initialiser === null ? [] : [initialiser]),
      ...(plan.act === null ? [] : [plan.act.node]),
    ]
    const stranger = servers.find((id) => !mayServe(era, plan, id) && !era.revoked.has(id))
    if (stranger !== undefined) violate(9, `plan ${index} gives ${stranger} a part in the datastore`)
    if (clusterId !== null) {
      const ids = done.get(plan.era) ?? new Set()
      ids.add(clusterId)
      done.set(plan.era, ids)
      if (ids.size > 1) violate(4, `two datastores are recorded as done: ${[...ids].join(' and ')}`)
    }
  }

  /** Between two plans that follow each other nothing may happen that takes two. */
  const checkStep = (lower: CertifiedPlan, higher: CertifiedPlan, where: string, by: NodeId): void => {
    const [before, after] = [lower.plan.voters, higher.plan.voters]
    const changed = [
      ...before.filter((id) => !after.includes(id)),
      ...after.filter((id) => !before.includes(id)),
    ]
    if (changed.length > 1) violate(3, `${changed.join(' and ')} change the voters at once between ${where}`)
    if (changed.length > 0) people.counts('changes of the voters')
    const wasRevoked = lower.plan.departed.some(({ why }) => why === 'revoked')
    const isClosed =
      lower.plan.settings.admission === 'approve' && higher.plan.settings.admission === 'approve'
    const isNew = (id: NodeId): boolean => !lower.plan.members.some((member) => member.id === id)
    const sneaked = higher.plan.members.find(({ id }) => isNew(id) && !people.approved.has(id))
    if (wasRevoked && sneaked !== undefined)
      violate(10, `${sneaked.id} came in between ${where}, unapproved after somebody was revoked`)
    if (isClosed && sneaked !== undefined) violate(9, `${sneaked.id} came in between ${where}, unapproved`)
    const { act } = higher.plan
    const isNewAct = act !== null && act.attempt !== lower.plan.act?.attempt
    if (isNewAct && act.kind === 'remove') people.removalBegan(lower.plan, act.node, by, act.why === 'dead')
  }

  /** Founders, whom people approved or promoted, and anybody where that is what the settings say. */
  const mayServe = (era: Era, plan: Plan, id: NodeId): boolean =>
    era.founders.members.some((member) => member.id === id) ||
    people.approvedAsServers.has(id) ||
    plan.settings.promote === 'any'

  /** The later plan must contain what the earlier one knew. */
  const checkOrder = (lower: CertifiedPlan, higher: CertifiedPlan, by: NodeId): void => {
    const where = `${lower.term}.${lower.index} and ${higher.term}.${higher.index}`
    if (higher.term < lower.term) violate(3, `terms go back between the certified plans ${where}`)
    const last = lower.plan.history.at(-1)
    const first = higher.plan.history[0]
    const wouldStillShow =
      last !== undefined && (higher.plan.history.length < 64 || (first?.index ?? 0) < last.index)
    if (wouldStillShow) {
      const text = JSON.stringify(last)
      if (!higher.plan.history.some((entry) => JSON.stringify(entry) === text)) {
        violate(3, `the change '${last.cause}' of a certified plan is lost between ${where}`)
      }
    }
    const ids = new Set([...higher.plan.members, ...higher.plan.departed].map(({ id }) => id))
    const missing = lower.plan.members.find((member) => !ids.has(member.id))
    if (missing !== undefined) violate(3, `${missing.id} is lost between ${where}`)
    if (higher.index === lower.index + 1) checkStep(lower, higher, where, by)
    if (higher.plan.nextAddress < lower.plan.nextAddress)
      violate(5, `the address counter goes back between ${where}`)
    if (higher.plan.acts < lower.plan.acts) violate(3, `the count of acts goes back between ${where}`)
    if (lower.plan.datastore.clusterId !== null && higher.plan.datastore.clusterId === null) {
      violate(4, `the datastore is forgotten between ${where}`)
    }
  }

  const note = (id: NodeId, certified: CertifiedPlan, founders: Genesis): void => {
    const content = contentOf(certified.plan)
    const key = `${certified.plan.era} ${certified.term}.${certified.index} ${content}`
    if (seen.has(key)) return
    seen.add(key)
    const era = eraOf(certified, founders)
    const { index, term } = certified
    if (newest === null || index > newest.index) newest = certified
    highest = Math.max(highest, index)
    const known = era.plans.get(index)
    if (known !== undefined && contentOf(known.plan) !== content) {
      violate(3, `two plans are certified at index ${index}, in terms ${known.term} and ${term}`)
    }
    if (index > 0) {
      const really = replication.signersOf({ term, index }, content)
      const before = era.indexes.filter((other) => other < index).at(-1) ?? 0
      const old = era.plans.get(before)?.plan.voters ?? era.founders.voters
      const signedOf = (voters: readonly NodeId[]): NodeId[] =>
        voters.filter((voter) => really.has(voter) || liars.has(voter))
      const signed = signedOf([...new Set([...old, ...certified.plan.voters])])
      const isMajority = (voters: readonly NodeId[]): boolean => signedOf(voters).length * 2 > voters.length
      if (!isMajority(old) || !isMajority(certified.plan.voters)) {
        violate(
          9,
          `${id} holds plan ${short(content)} at ${term}.${index}, signed by ${signed.join(', ') || 'nobody'}`,
        )
      }
    }
    checkContent(era, certified)
    era.plans.set(index, certified)
    const at = era.indexes.findIndex((other) => other >= index)
    if (at < 0) era.indexes.push(index)
    else if (era.indexes[at] !== index) era.indexes.splice(at, 0, index)
    const place = era.indexes.indexOf(index)
    const lower = era.plans.get(era.indexes[place - 1] ?? -1)
    const higher = era.plans.get(era.indexes[place + 1] ?? -1)
    if (lower !== undefined) checkOrder(lower, certified, id)
    if (higher !== undefined) checkOrder(certified, higher, id)
  }

  return {
    done: () => new Set([...done.values()].flatMap((ids) => [...ids])),
    highestIndex: () => highest,
    newest: () => newest,
    wereServers: () => served,
    ownerOf: (era, address) => eras.get(era)?.addresses.get(address),
    logged: (machine, event, fields) => {
      // A node that finds two truths has found a broken rule, whichever it is.
      if (event === 'plan.conflict')
        violate(3, `${machine.keys.id} is in conflict: ${String(fields.message)}`)
      // Whoever takes itself for a copy, and is none, stops for nothing.
      const isCopied = copies.has(machine.keys.id)
      if ((event === 'state.restored' || event === 'node.cloned') && !isCopied) {
        violate(11, `${machine.keys.id} takes itself for a copy (${event}), and is none`)
      }
    },
    persisted: (id, durable, before) => {
      const { certified } = durable
      const held = before?.certified ?? null
      if (certified === held) return
      if (certified === null || (held !== null && certified.index < held.index)) {
        violate(3, `${id} went back from plan ${held?.index} to ${certified?.index ?? 'none'}`)
        return
      }
      if (durable.genesis !== null) note(id, certified, durable.genesis.genesis)
    },
  }
}
