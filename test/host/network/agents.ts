/** Networks as processes of their own, on loopback or as hosts on a switch; everything ends with {@link Agents}. */
import { execFileSync, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { NodeId } from '../../../src/core/ids.ts'
import type { HostProblem } from '../../../src/core/orders.ts'
import type { AgentStart, Command } from './agent.ts'
import { newKey } from './peers.ts'

const AGENT = `${import.meta.dirname}/agent.ts`
const sh = (command: string): string => execFileSync('sh', ['-ec', command], { encoding: 'utf8' })

export interface Agent {
  /** Starts the process and the network in it; resolves when it listens, with the time of that. */
  start(): Promise<number>
  id(): NodeId
  send(to: NodeId, text: string): void
  connected(): NodeId[]
  /** When connections came and went, by wall clock in milliseconds. */
  readonly history: { readonly kind: 'connected' | 'disconnected'; readonly at: number }[]
  messages(): string[]
  counts(name: string): number
  problems(): Promise<HostProblem[]>
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>
  stop(): Promise<void>
}

export interface Host {
  readonly ip: string
  readonly agent: Agent
  exec(command: string): string
}

export interface Agents {
  /** An agent in this namespace. */
  agent(options: Partial<AgentStart>): Promise<Agent>
  /** An agent on a machine of its own on the switch; without a route it has no multicast. */
  host(options?: Partial<AgentStart> & { readonly hasRoute?: boolean }): Promise<Host>
  end(): Promise<void>
}

let labs = 0

export function makeAgents(): Agents {
  labs += 1
  const prefix = `mn${process.pid.toString(36)}${labs.toString(36)}`
  const agents: Agent[] = []
  const namespaces: string[] = []

  const agent = async (namespace: string | null, options: Partial<AgentStart>): Promise<Agent> => {
    const made = makeAgent(namespace, {
      privateKey: Buffer.from(await newKey()).toString('base64'),
      token: 7,
      listen: ['0.0.0.0:7946'],
      peers: [],
      mdns: false,
      ...options,
    })
    agents.push(made)
    return made
  }

  return {
    agent: (options) => agent(null, options),
    async host({ hasRoute = true, ...options } = {}) {
      const hub = `${prefix}-hub`
      if (namespaces.length === 0) {
        namespaces.push(hub)
        sh(`ip netns add ${hub}; ip -n ${hub} link add br0 type bridge; ip -n ${hub} link set br0 up`)
      }
      const number = namespaces.length
      const namespace = `${prefix}-${number}`
      const ip = `192.168.78.${number}`
      namespaces.push(namespace)
      sh(`ip netns add ${namespace}
        ip -n ${namespace} link set lo up
        ip -n ${hub} link add p${number} type veth peer name eth0 netns ${namespace}
        ip -n ${hub} link set p${number} master br0 up
        ip -n ${namespace} address add ${ip}/24 dev eth0
        ip -n ${namespace} link set eth0 up`)
      if (hasRoute) sh(`ip -n ${namespace} route add 224.0.0.0/4 dev eth0`)
      return {
        ip,
        agent: await agent(namespace, { mdns: true, ...options }),
        exec: (command) => sh(`ip netns exec ${namespace} ${command}`),
      }
    },
    async end() {
      await Promise.all(agents.map((made) => made.signal('SIGKILL')))
      for (const namespace of namespaces) sh(`ip netns delete ${namespace}`)
    },
  }
}

function makeAgent(namespace: string | null, options: AgentStart): Agent {
  const command = namespace === null ? 'env' : 'ip'
  const inside = namespace === null ? [] : ['netns', 'exec', namespace]
  const peers = new Set<NodeId>()
  const history: { kind: 'connected' | 'disconnected'; at: number }[] = []
  const messages: string[] = []
  const counts = new Map<string, number>()
  let process_: ReturnType<typeof launch> | null = null
  let id: NodeId | null = null
  let onListening: (at: number) => void = () => undefined
  let onProblems: (problems: HostProblem[]) => void = () => undefined

  const hear = (line: string): void => {
    const said = JSON.parse(line)
    if (said.listening !== undefined) {
      id = said.listening
      onListening(said.at)
    } else if (said.connected !== undefined) {
      peers.add(said.connected)
      history.push({ kind: 'connected', at: said.at })
    } else if (said.disconnected !== undefined) {
      peers.delete(said.disconnected)
      history.push({ kind: 'disconnected', at: said.at })
    } else if (said.message !== undefined) {
      messages.push(said.message)
    } else if (said.problems !== undefined) {
      onProblems(said.problems)
    } else if (said.count !== undefined) {
      counts.set(said.count, (counts.get(said.count) ?? 0) + 1)
    }
  }
  const launch = () => {
    const child = spawn(command, [...inside, process.execPath, AGENT], { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: child.stdout }).on('line', hear)
    const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()))
    return { child, exited }
  }
  const order = (what: Command): void => {
    process_?.child.stdin.write(`${JSON.stringify(what)}\n`)
  }

  return {
    history,
    async start() {
      peers.clear()
      process_ = launch()
      const listening = new Promise<number>((resolve) => {
        onListening = resolve
      })
      order({ kind: 'start', ...options })
      return await listening
    },
    id() {
      if (id === null) throw new Error('it was never started')
      return id
    },
    send: (to, text) => order({ kind: 'send', to, text }),
    connected: () => [...peers].sort(),
    messages: () => messages,
    counts: (name) => counts.get(name) ?? 0,
    async problems() {
      const answer = new Promise<HostProblem[]>((resolve) => {
        onProblems = resolve
      })
      order({ kind: 'problems' })
      return await answer
    },
    async signal(name) {
      process_?.child.kill(name)
      if (name === 'SIGKILL') await process_?.exited
    },
    async stop() {
      order({ kind: 'stop' })
      await process_?.exited
    },
  }
}
