/** Turns changes of status into lines that a person can follow: a time, a host, what happened. */
import { styleText } from 'node:util'
import type { StatusDocument } from '../../../src/core/status.ts'
import type { Host } from '../host.ts'
import type { Change } from '../watch.ts'

type Style = Parameters<typeof styleText>[0]

const HOST_STYLES: readonly Style[] = [
  'cyan',
  'magenta',
  'blue',
  'green',
  'yellow',
  'cyanBright',
  'magentaBright',
]

/** Longer lists of names are told as a number. */
const NAMES_MAX = 4
/** What a node says for shorter than this is on its way to be over: told only when it lasts. */
const LASTING_MS = 2_500

export class Narrator {
  readonly #stream: NodeJS.WritableStream
  /** Hosts by the IDs of their nodes: machines without a name of their own would be all the same. */
  readonly #names = new Map<string, string>()
  /** What each host said last, also before it fell silent. */
  readonly #last = new Map<number, StatusDocument>()
  #leader = ''
  /** What lasts, by host and kind: since when it is said, and whether it was told. */
  readonly #lasting = new Map<string, { text: string; sinceMs: number; isTold: boolean }>()
  /** Problems that were told and are not over, by code: who says so. */
  readonly #problems = new Map<string, Set<number>>()
  /** What was last waited for, whoever said so: all wait for the same, mostly. */
  #waits = ''

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream
  }

  /** A line of the demo itself. */
  say(text: string): void {
    this.#stream.write(`${text}\n`)
  }

  heading(text: string): void {
    this.say(`\n${this.#style('bold', text)}`)
  }

  event(atMs: number, host: { readonly name: string; readonly index: number } | null, text: string): void {
    const time = `${(atMs / 1_000).toFixed(2).padStart(7)} s`
    const style = host === null ? 'bold' : (HOST_STYLES[(host.index - 1) % HOST_STYLES.length] ?? 'bold')
    const name = this.#style(style, (host?.name ?? 'cluster').padEnd(8))
    this.say(`${this.#style('dim', time)}  ${name}  ${text}`)
  }

  good = (text: string): string => this.#style('green', text)
  bad = (text: string): string => this.#style('red', text)
  warn = (text: string): string => this.#style('yellow', text)
  strong = (text: string): string => this.#style('bold', text)

  /** Told at every look, also where nothing changed: that is how what lasts is known. */
  tell({ host, before, after, atMs }: Change): void {
    if (after === null) {
      this.event(atMs, host, this.warn('does not answer'))
      this.#forget(host.index)
      return
    }
    this.#names.set(after.self.id, host.name)
    const last = this.#last.get(host.index) ?? null
    this.#last.set(host.index, after)
    const news = this.#ownNews(last, after)
    if (before === null) news.unshift(last === null ? `is up as ${shortId(after.self.id)}` : 'answers again')
    const stage = last?.self.stage === after.self.stage ? null : after.self.stage
    const arrow = stage === null ? '' : `${news.length === 0 ? '' : ' '}→ ${this.#stageText(stage)}`
    if (news.length > 0 || arrow !== '') this.event(atMs, host, `${news.join(', ')}${arrow}`)
    this.#tellLeader(after, atMs)
    this.#tellProblems(host, after, atMs)
    this.#tellWaiting(host, after, atMs)
  }

  /** What this host says of itself now that it did not say before. */
  #ownNews(before: StatusDocument | null, after: StatusDocument): string[] {
    const news: string[] = []
    const { self, cluster, nodes } = after
    const known = new Set(before?.nodes.map((node) => node.id))
    const found = nodes
      .filter((node) => node.id !== self.id && !known.has(node.id))
      .map((node) => this.#nameOf(node))
    if (found.length > 0) {
      news.push(`finds ${found.length > NAMES_MAX ? `${found.length} others` : found.join(', ')}`)
    }
    if (cluster.id !== null && cluster.id !== before?.cluster.id) {
      news.push(`holds genesis ${cluster.id.slice(0, 12)}`)
    }
    if (self.address !== null && self.address !== before?.self.address) {
      news.push(`is ${self.role} ${self.address}`)
    }
    const describe = [describePaths, describeMember]
    for (const text of describe) {
      const now = text(after)
      if (now !== null && now !== (before === null ? null : text(before))) news.push(now)
    }
    return news
  }

  /** The text with the hosts' names for the nodes'. */
  #withHosts(text: string, nodes: StatusDocument['nodes']): string {
    const names = new Map(nodes.map((node) => [node.name, this.#nameOf(node)]))
    return text.replace(/[A-Za-z0-9-]+/g, (word) => names.get(word) ?? word)
  }

  #nameOf(node: { readonly id: string; readonly name: string }): string {
    return this.#names.get(node.id) ?? node.name
  }

  #stageText(stage: StatusDocument['self']['stage']): string {
    if (stage === 'ready') return this.good(stage)
    return stage === 'blocked' ? this.bad(stage) : stage
  }

  /** Told when the first host waits for it for a while. */
  #tellWaiting(host: Host, { waitingFor: [waits], nodes }: StatusDocument, atMs: number): void {
    const text = this.#withHosts(waits?.replace(/ \(since [^)]*\)$/, '') ?? '', nodes)
    if (!this.#lasts(`${host.index} waits`, text, atMs) || text === '' || text === this.#waits) return
    this.#waits = text
    this.event(atMs, null, `waits for ${text}`)
  }

  /** Told when the first host knows. */
  #tellLeader({ cluster, nodes }: StatusDocument, atMs: number): void {
    const leader = nodes.find((node) => node.id === cluster.leader)
    const key = `${cluster.term} ${leader?.id}`
    if (leader === undefined || this.#leader === key) return
    this.#leader = key
    this.event(atMs, null, this.strong(`the leader is ${this.#nameOf(leader)} (term ${cluster.term})`))
  }

  /** Told when the first host has it for a while, and again when it is over for the last. */
  #tellProblems(host: Host, { problems }: StatusDocument, atMs: number): void {
    const now = new Map(problems.map((problem) => [problem.code, problem]))
    for (const { code, severity, message } of now.values()) {
      if (severity === 'info' || !this.#lasts(`${host.index} problem ${code}`, code, atMs)) continue
      const sayers = this.#problems.get(code) ?? new Set()
      this.#problems.set(code, sayers.add(host.index))
      if (sayers.size === 1) this.event(atMs, host, this.warn(`${code}: ${message}`))
    }
    const said = `${host.index} problem `
    for (const key of this.#lasting.keys()) {
      if (!key.startsWith(said) || now.has(key.slice(said.length))) continue
      this.#lasting.delete(key)
      this.#problemGone(key.slice(said.length), host.index, atMs)
    }
  }

  #problemGone(code: string, index: number, atMs: number): void {
    const sayers = this.#problems.get(code)
    if (sayers?.delete(index) !== true || sayers.size > 0) return
    this.#problems.delete(code)
    this.event(atMs, null, `${code} is over`)
  }

  /** Answers true once, when `text` is said for long enough. Another text under the same key begins anew. */
  #lasts(key: string, text: string, atMs: number): boolean {
    const entry = this.#lasting.get(key)
    if (entry === undefined || entry.text !== text) {
      this.#lasting.set(key, { text, sinceMs: atMs, isTold: false })
      return false
    }
    if (entry.isTold || atMs - entry.sinceMs < LASTING_MS) return false
    entry.isTold = true
    return true
  }

  #forget(index: number): void {
    for (const key of this.#lasting.keys()) if (key.startsWith(`${index} `)) this.#lasting.delete(key)
    for (const sayers of this.#problems.values()) sayers.delete(index)
  }

  #style(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#stream })
  }
}

export const shortId = (id: string): string => `…${id.slice(-8)}`

/** Null while some are missing: on the way there every look would be news. */
function describePaths({ self, nodes }: StatusDocument): string | null {
  const peers = nodes.filter((node) => node.id !== self.id && node.address !== null)
  if (self.address === null || peers.length === 0) return null
  if (peers.some((node) => node.path === 'none')) return null
  const relayed = peers.filter((node) => node.path === 'relayed').length
  const others = peers.length === 1 ? 'the other' : `all ${peers.length} others`
  return `has a path to ${others}${relayed > 0 ? `, ${relayed} relayed` : ''}`
}

function describeMember({ self, distribution }: StatusDocument): string | null {
  const own = distribution.members.find((member) => member.name === self.name)
  if (self.role !== 'server' || own === undefined) return null
  const state = own.voter ? 'voter' : 'learner'
  return `is ${distribution.kind} ${state}${own.healthy ? '' : ', not healthy yet'}`
}
