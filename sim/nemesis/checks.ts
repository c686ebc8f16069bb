/**
 * What must be true when all faults have ended, each with a name and what was seen: the datastore's content and
 * members by etcd's own client, through every server; the rules by the witness, who saw all logs and statuses.
 */
import { z } from 'zod'
import type { StatusDocument } from '../../src/core/status.ts'
import { type Check, check } from '../lab/demo/checks.ts'
import { etcdctl } from '../lab/key-value.ts'
import { until } from '../lab/until.ts'
import type { View } from '../lab/view.ts'
import type { Server } from './clients.ts'
import type { Crew } from './crew.ts'
import type { Ledger } from './ledger.ts'
import { RULES, type Rule, type Witness } from './witness.ts'

export interface Evidence {
  readonly crew: Crew
  readonly view: View
  readonly servers: readonly Server[]
  /** Of the datastore as it was formed. */
  readonly datastoreId: string
  readonly ledger: Ledger
  readonly witness: Witness
}

/** Where the driver keeps an etcd client's credentials, on every server. */
export const CREDENTIALS = '/run/muster.run/etcd'
/** An answer is asked for again within this time: a member may have lost its leader this moment. */
const PATIENCE_MS = 20_000
/** Faults told of one check. */
const TOLD = 5

/** etcd writes 64-bit numbers that JSON cannot hold: as text they are whole. */
const bigNumbers = (json: string): unknown =>
  JSON.parse(json.replaceAll(/"(cluster_id|member_id|ID)":\s*(\d+)/g, '"$1":"$2"'))

const contentSchema = z.object({
  kvs: z.array(z.object({ key: z.base64(), value: z.base64() })).default([]),
})
const membersSchema = z.object({
  header: z.object({ cluster_id: z.string() }),
  members: z.array(
    z.object({ name: z.string(), clientURLs: z.array(z.string()), isLearner: z.boolean().default(false) }),
  ),
})
const historySchema = z.object({
  history: z.array(z.object({ cause: z.string(), index: z.number() })),
})

export async function finalChecks(evidence: Evidence): Promise<Check[]> {
  const { crew, ledger, witness } = evidence
  const checks = [
    await check('every acknowledged write is there, through every server', () => contents(evidence)),
    await check('no read was stale', () => none(ledger.staleReads, `${ledger.counts.reads} reads`)),
  ]
  for (const rule of Object.keys(RULES) as Rule[])
    checks.push(await check(RULES[rule], () => none(witness.faults(rule), seenOf(rule, witness))))
  checks.push(
    await check('etcd is the datastore that was formed, and its members are the servers of the plan', () =>
      membership(evidence),
    ),
    await check('the plan’s history has one act after the other, and one datastore', () => history(evidence)),
    await check('no daemon ended by itself', () =>
      none(crew.ended, `${witness.count('node.started')} starts`),
    ),
  )
  return checks
}

/** @returns what was seen where there is no fault; @throws with the first of them where there are. */
function none(faults: readonly string[], seen: string): string {
  if (faults.length === 0) return seen
  const more = faults.length > TOLD ? ` and ${faults.length - TOLD} more` : ''
  throw new Error(`${faults.slice(0, TOLD).join('; ')}${more}`)
}

function seenOf(rule: Rule, witness: Witness): string {
  switch (rule) {
    case 'genesis':
      return witness.genesis?.slice(0, 12) ?? none(['nobody ever held one'], '')
    case 'leader':
      return `${witness.leaders} terms`
    case 'plan':
      return `${witness.count('plan.certified')} certificates`
    case 'acts':
      return `${witness.count('act.permitted')} permitted`
    case 'ownHand':
      return `${witness.count('datastore.ending')} times a daemon ended its etcd`
    case 'address':
      return `${witness.addresses} addresses`
  }
}

async function contents({ servers, ledger }: Evidence): Promise<string> {
  const faults: string[] = []
  let keys = 0
  for (const server of servers) {
    const content = await contentOf(server)
    keys = Math.max(keys, content.size)
    faults.push(...ledger.judge(content).map((fault) => `${server.host.name}: ${fault}`))
  }
  const { acknowledged } = ledger.counts
  return none(faults, `${acknowledged} acknowledged writes, ${keys} keys, ${servers.length} servers`)
}

async function contentOf({ host, address }: Server): Promise<Map<string, string>> {
  const args = ['get', '--prefix', 'nemesis/', '--write-out=json']
  const text = await asked(`the content on ${host.name}`, () => etcdctl(host, CREDENTIALS, [address], args))
  const plain = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8')
  return new Map(
    contentSchema.parse(JSON.parse(text)).kvs.map(({ key, value }) => [plain(key), plain(value)]),
  )
}

export async function membersOf({ host, address }: Server) {
  const args = ['member', 'list', '--write-out=json']
  const text = await asked(`the members on ${host.name}`, () => etcdctl(host, CREDENTIALS, [address], args))
  return membersSchema.parse(bigNumbers(text))
}

async function membership({ view, servers, datastoreId }: Evidence): Promise<string> {
  const faults: string[] = []
  const [status] = view.values()
  const wanted = planned(status)
  for (const server of servers) {
    const { header, members } = await membersOf(server)
    if (header.cluster_id !== datastoreId) faults.push(`${server.host.name} is in another datastore`)
    const found = members.map(({ clientURLs }) => clientURLs.join()).sort()
    if (found.join() !== wanted.join()) faults.push(`${server.host.name}: ${found} instead of ${wanted}`)
    for (const { name, isLearner } of members) if (isLearner) faults.push(`${name} is a learner`)
  }
  return none(faults, wanted.join(', '))
}

const planned = (status: StatusDocument | undefined): string[] =>
  (status?.nodes ?? [])
    .filter((node) => node.role === 'server')
    .map((node) => `https://${node.address}:2379`)
    .sort()

async function history({ servers }: Evidence): Promise<string> {
  const faults: string[] = []
  let lines = 0
  for (const { host } of servers) {
    const { stdout, stderr, exitCode } = await host.muster(['history', '--json'])
    if (exitCode !== 0) throw new Error(`${host.name}: ${stderr}`)
    const { history } = historySchema.parse(JSON.parse(stdout))
    lines = Math.max(lines, history.length)
    let open: string | null = null
    for (const { cause, index } of history) {
      const where = `${host.name}, index ${index}: ${cause}`
      if (cause === 'initialise' || cause === 'join') {
        if (open !== null && !(open === 'initialise' && cause === open)) faults.push(`${where} while ${open}`)
        open = cause
      } else if (cause === 'initialised' || cause === 'joined' || cause === 'abort') open = null
    }
    if (history.filter(({ cause }) => cause === 'initialised').length > 1)
      faults.push(`${host.name}: initialised more than once`)
  }
  return none(faults, `${lines} changes`)
}

function asked(what: string, ask: () => Promise<string>): Promise<string> {
  return until(what, ask, { timeoutMs: PATIENCE_MS, everyMs: 250 })
}
