/**
 * The status document in words, for somebody with one minute: first what the cluster is and what this machine is
 * doing, then who is in it, then what is waited for and what is wrong. Reads one document and the time; expects
 * its texts to be plain already.
 */
import { compareText } from '../core/ids.ts'
import type { Stage, StatusDocument, StatusNode, StatusProblem, StatusRollout } from '../core/status.ts'
import { durationText } from './duration.ts'
import { table } from './table.ts'
import { paragraph, type Terminal } from './terminal.ts'

/** The whole status, lines joined, without a line feed at the end. */
export function statusText(status: StatusDocument, now: Date, terminal: Terminal): string {
  const { width } = terminal
  const blocks = [
    paragraph('', `${clusterWords(status, terminal)}; ${selfWords(status, terminal)}`, width),
    nodesTable(status, terminal),
    facts(status, now, terminal),
    status.problems.toSorted(bySeverity).flatMap((problem) => problemLines(problem, now, terminal)),
  ]
  return blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')
}

function clusterWords(status: StatusDocument, terminal: Terminal): string {
  const { cluster, nodes } = status
  const network = terminal.strong(cluster.network)
  const state = stateWords(status, terminal)
  if (!isFormed(status)) {
    const here = nodes.length
    const count = here > cluster.expect ? `${here} machines` : `${here} of ${machines(cluster.expect)}`
    const expected = here > cluster.expect ? `, ${cluster.expect} expected` : ''
    return `${network}: ${state}, ${count} in sight${expected}`
  }
  const members = nodes.filter((node) => node.role !== 'pending')
  const alive = members.filter((node) => node.alive).length
  const pending = nodes.length - members.length
  const waiting = pending === 0 ? '' : `, ${pending} more not admitted yet`
  const leader =
    cluster.leader === null ? terminal.bad('no leader') : `leader ${nameOf(status, cluster.leader)}`
  return `${network}: ${state}, ${alive} of ${machines(members.length)}${waiting}, ${leader}`
}

/** Whether this node holds a plan, so that roles, addresses and a leader mean something. */
const isFormed = ({ nodes }: StatusDocument): boolean => nodes.some((node) => node.role !== 'pending')

const machines = (count: number): string => `${count} machine${count === 1 ? '' : 's'}`

function stateWords({ cluster }: StatusDocument, terminal: Terminal): string {
  switch (cluster.state) {
    case 'discovering':
      return terminal.warn(cluster.id === null ? 'no cluster yet' : 'joining')
    case 'founding':
      return terminal.warn('founding')
    case 'formed':
      return terminal.good('formed')
    case 'degraded':
      return terminal.bad('degraded')
    case 'conflict':
      return terminal.bad('in conflict with another cluster')
  }
}

function nameOf({ nodes }: StatusDocument, id: string): string {
  return nodes.find((node) => node.id === id)?.name ?? shortId(id)
}

const shortId = (id: string): string => `…${id.slice(-8)}`

function selfWords(status: StatusDocument, terminal: Terminal): string {
  const { self } = status
  const place = self.role === 'pending' ? '' : ` (${[self.role, self.address ?? []].flat().join(', ')})`
  return `this machine ${self.name}${place} ${stageWords(self.stage, status.distribution.kind, terminal)}`
}

function stageWords(stage: Stage, kind: string, terminal: Terminal): string {
  switch (stage) {
    case 'discovering':
      return 'looks for the others'
    case 'founding':
      return 'takes part in the founding'
    case 'joining':
      return 'waits to be admitted'
    case 'meshing':
      return 'builds its mesh'
    case 'distributing':
      return `brings up ${kind}`
    case 'ready':
      return `is ${terminal.good('ready')}`
    case 'blocked':
      return `is ${terminal.bad('blocked')} until a person decides`
    case 'leaving':
      return 'is leaving'
  }
}

function nodesTable(status: StatusDocument, terminal: Terminal): string[] {
  const names = status.nodes.map((node) => node.name)
  const isAmbiguous = new Set(names).size < names.length
  const header = ['node', 'id', 'address', 'role', 'stage', 'seen', 'path', '']
  const rows = status.nodes.map((node) => [
    node.name,
    isAmbiguous ? shortId(node.id) : '',
    node.address ?? '',
    isFormed(status) ? node.role : '',
    node.stage ?? '',
    seenWords(node, terminal),
    pathWords(node),
    marks(status, node),
  ])
  const [first = '', ...rest] = table(header, rows)
  return [terminal.faint(first), ...rest]
}

function seenWords({ alive, lastSeenMs }: StatusNode, terminal: Terminal): string {
  if (alive) return 'alive'
  return terminal.bad(lastSeenMs === null ? 'not yet' : `${durationText(lastSeenMs)} ago`)
}

/** The way to a machine that is silent is none. */
function pathWords({ alive, path }: StatusNode): string {
  return alive && (path === 'direct' || path === 'relayed') ? path : ''
}

function marks({ self, cluster }: StatusDocument, { id }: StatusNode): string {
  const words = [id === self.id ? 'this machine' : [], id === cluster.leader ? 'leader' : []]
  return words.flat().join(', ')
}

/** Labelled lines: what runs on top, what is under way, what is waited for. */
function facts(status: StatusDocument, now: Date, terminal: Terminal): string[] {
  const { cluster, act, rollout, waitingFor } = status
  const items: [label: string, text: string][] = [['datastore', datastoreWords(status, terminal)]]
  if (cluster.id !== null) {
    const plan = cluster.planIndex === null ? 'none yet' : `${cluster.planIndex} of term ${cluster.term}`
    items.push(['plan', `${plan}, cluster ${cluster.id.slice(0, 12)}`])
  }
  if (act !== null) {
    const attempt = act.attempt > 1 ? `, attempt ${act.attempt}` : ''
    items.push(['under way', `${act.node}: ${act.kind}${attempt}, for ${durationText(act.ageMs)}`])
  }
  if (rollout !== null && rollout.state !== 'done') items.push(['rollout', rolloutWords(rollout, terminal)])
  for (const text of waitingFor) items.push(['waiting for', terminal.warn(waitingWords(text, now))])
  const labelWidth = Math.max(...items.map(([label]) => label.length))
  return items.flatMap(([label, text], place) => {
    const isRepeated = items[place - 1]?.[0] === label
    return paragraph(`${(isRepeated ? '' : label).padEnd(labelWidth)}  `, text, terminal.width)
  })
}

/** How far it is; `muster rollout status` names the machines. */
function rolloutWords({ target, state, reason, nodes }: StatusRollout, terminal: Terminal): string {
  const done = nodes.filter((node) => node.state === 'done').length
  const how = state === 'running' ? state : terminal.warn(state)
  const why = reason === null ? '' : ` (${reason})`
  return `to ${target ?? 'new settings'}, ${how}${why}: ${done} of ${nodes.length} done`
}

function datastoreWords({ distribution }: StatusDocument, terminal: Terminal): string {
  const { kind, version, healthy, members } = distribution
  if (kind === 'none') return 'none, mesh only'
  if (!healthy && members.length === 0) return `${kind}, not formed yet`
  const health = healthy ? terminal.good('healthy') : terminal.bad('not healthy')
  const list = members.map(({ name, voter, healthy: isWell }) => {
    const remarks = [voter ? [] : 'learner', isWell ? [] : terminal.bad('not healthy')].flat()
    return remarks.length === 0 ? name : `${name} (${remarks.join(', ')})`
  })
  const who = list.length === 0 ? '' : `: ${list.join(', ')}`
  return `${kind}${version === null ? '' : ` ${version}`}, ${health}${who}`
}

const SINCE = / \(since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)\)$/

/** What is waited for, and for how long: ages are what people compare; the document says the moment. */
export function waitingWords(text: string, now: Date): string {
  return text.replace(SINCE, (_, since: string) => `, for ${ageText(since, now)}`)
}

/** How long ago; the moment itself where it is none that can be read. */
function ageText(since: string, now: Date): string {
  const at = Date.parse(since)
  return Number.isNaN(at) ? since : durationText(now.getTime() - at)
}

const SEVERITIES: readonly StatusProblem['severity'][] = ['error', 'warning', 'info']

const bySeverity = (a: StatusProblem, b: StatusProblem): number =>
  SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
  compareText(a.since, b.since) ||
  compareText(a.code, b.code)

function problemLines(problem: StatusProblem, now: Date, terminal: Terminal): string[] {
  const { severity, code, since, message, hint } = problem
  const paint = { error: terminal.bad, warning: terminal.warn, info: terminal.strong }[severity]
  const text = `${message}, for ${ageText(since, now)} ${terminal.faint(`[${code}]`)}`
  return [
    ...paragraph(`${paint(`${severity}:`)} `, text, terminal.width),
    ...(hint === '' ? [] : paragraph('  hint: ', hint, terminal.width)),
  ]
}
