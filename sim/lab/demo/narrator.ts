/** Turns changes of status into lines that a person can follow: a time, a host, what happened. */
import { styleText } from 'node:util'
import type { StatusDocument } from '../../../src/core/status.ts'
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

export class Narrator {
  readonly #stream: NodeJS.WriteStream
  /** What was told once for all hosts: a leader's election, a node's silence, a problem. */
  readonly #told = new Map<string, string>()

  constructor(stream: NodeJS.WriteStream) {
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

  tell({ host, before, after, atMs }: Change): void {
    if (after === null) {
      this.event(atMs, host, this.warn('does not answer'))
      return
    }
    for (const text of this.#ownNews(before, after)) this.event(atMs, host, text)
    for (const text of this.#commonNews(after)) this.event(atMs, null, text)
  }

  /** What this host says of itself. */
  #ownNews(before: StatusDocument | null, after: StatusDocument): string[] {
    const news: string[] = []
    const { self, cluster } = after
    if (before === null) news.push(`is up as ${shortId(self.id)}, ${self.stage}`)
    const known = new Set(before?.nodes.map((node) => node.id))
    const found = after.nodes.filter((node) => node.id !== self.id && !known.has(node.id))
    if (found.length > 0) news.push(`finds ${found.map((node) => node.name).join(', ')}`)
    if (cluster.id !== null && cluster.id !== before?.cluster.id) {
      news.push(`holds genesis ${cluster.id.slice(0, 12)}`)
    }
    if (self.address !== null && self.address !== before?.self.address) {
      news.push(`is ${self.role}, address ${self.address}`)
    }
    const path = describePaths(after)
    if (path !== null && path !== (before === null ? null : describePaths(before))) news.push(path)
    const member = describeMember(after)
    if (member !== null && member !== (before === null ? null : describeMember(before))) news.push(member)
    if (before !== null && self.stage !== before.self.stage) {
      news.push(self.stage === 'ready' ? this.good('ready') : `stage: ${self.stage}`)
    }
    return news
  }

  /** What several hosts see; told when the first does. */
  #commonNews({ cluster, nodes, problems }: StatusDocument): string[] {
    const news: string[] = []
    const once = (key: string, value: string, text: string): void => {
      if (this.#told.get(key) === value) return
      this.#told.set(key, value)
      news.push(text)
    }
    const leader = nodes.find((node) => node.id === cluster.leader)
    if (leader !== undefined) {
      once(
        `leader ${cluster.term}`,
        leader.id,
        this.strong(`leader is ${leader.name} (term ${cluster.term})`),
      )
    }
    for (const problem of problems) {
      const silent = problem.code.startsWith('node.silent')
      if (problem.severity === 'info' || silent) continue
      const text = `${problem.code}: ${problem.message}`
      once(`problem ${problem.code}`, problem.message, this.warn(text))
    }
    return news
  }

  #style(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#stream })
  }
}

export const shortId = (id: string): string => `…${id.slice(-8)}`

function describePaths({ self, nodes }: StatusDocument): string | null {
  const peers = nodes.filter((node) => node.id !== self.id && node.address !== null)
  if (self.address === null || peers.length === 0) return null
  const reached = peers.filter((node) => node.path !== 'none')
  const relayed = peers.filter((node) => node.path === 'relayed').length
  if (reached.length === 0) return null
  return `mesh: reaches ${reached.length} of ${peers.length}${relayed > 0 ? `, ${relayed} relayed` : ''}`
}

function describeMember({ self, distribution }: StatusDocument): string | null {
  const own = distribution.members.find((member) => member.name === self.name)
  if (self.role !== 'server' || own === undefined) return null
  const state = own.voter ? 'voter' : 'learner'
  return `${distribution.kind}: ${state}, ${own.healthy ? 'healthy' : 'not healthy yet'}`
}
