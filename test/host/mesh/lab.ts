/**
 * Hosts as network namespaces on one switch, each with a mesh of its own. Interfaces have names unique to the
 * lab, because all namespaces share /var/run/wireguard. Everything is named by the lab and ends with it.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { nodeId } from '../../../src/core/ids.ts'
import type { MeshFacts, MeshOrder, MeshPeer } from '../../../src/core/orders.ts'
import { keyText, wireguardKeys } from '../../../src/host/mesh/keys.ts'
import { type Command, encodeCommand } from './agent.ts'

export const CIDR = '10.86.0.0/16'
const PORT = 51_871
const AGENT = `${import.meta.dirname}/agent.ts`
const run = promisify(execFile)
const sh = (command: string): string => execFileSync('sh', ['-ec', command], { encoding: 'utf8' })

export interface Lab {
  /** A new machine on the switch with the LAN address 192.168.77.`number` and the mesh address 10.86.0.`number`. */
  host(number: number): Host
  /** Ends every agent and wireguard-go, and deletes the namespaces. */
  end(): Promise<void>
}

export interface AgentOptions {
  /** A command that runs the agent, such as `setpriv …`. */
  readonly wrap?: readonly string[]
  readonly path?: string
}

export interface Host {
  readonly interfaceName: string
  readonly namespace: string
  readonly lan: string
  readonly mesh: string
  readonly privateKeyText: string
  /** How others see this host. */
  peer(endpoints?: readonly string[]): MeshPeer
  start(options?: AgentOptions): void
  apply(peers: readonly MeshPeer[], changes?: Partial<MeshOrder>): void
  facts(): MeshFacts
  /** Names of the events logged so far, oldest first. */
  events(): readonly string[]
  /** Everything that the agent has said, as one text. */
  said(): string
  stop(keep: boolean): Promise<void>
  /** kill -9 of the agent alone. */
  kill(): Promise<void>
  exec(command: string): Promise<string>
  pings(address: string): Promise<boolean>
  /** PID of the host's wireguard-go, null where there is none. */
  userspace(): number | null
}

let labs = 0

export function makeLab(): Lab {
  labs += 1
  const prefix = `mm${process.pid.toString(36)}${labs.toString(36)}`
  const hub = `${prefix}-hub`
  const hosts: (Host & { end(): Promise<void> })[] = []
  sh(`ip netns add ${hub}; ip -n ${hub} link add br0 type bridge; ip -n ${hub} link set br0 up`)
  return {
    host(number) {
      const namespace = `${prefix}-${number}`
      sh(`ip netns add ${namespace}
        ip -n ${namespace} link set lo up
        ip -n ${hub} link add p${number} type veth peer name eth0 netns ${namespace}
        ip -n ${hub} link set p${number} master br0 up
        ip -n ${namespace} address add 192.168.77.${number}/24 dev eth0
        ip -n ${namespace} link set eth0 up`)
      const host = makeHost(namespace, `${prefix}w${number}`, number)
      hosts.push(host)
      return host
    },
    async end() {
      const ended = await Promise.allSettled(hosts.map((host) => host.end()))
      for (const name of [...hosts.map((host) => host.namespace), hub]) sh(`ip netns delete ${name}`)
      for (const result of ended) if (result.status === 'rejected') throw result.reason
    },
  }
}

function makeHost(namespace: string, interfaceName: string, number: number): Host & { end(): Promise<void> } {
  const keys = wireguardKeys(randomBytes(32))
  const lan = `192.168.77.${number}`
  const mesh = `10.86.0.${number}`
  const none: MeshFacts = { up: false, peers: [], problems: [] }
  let agent: ReturnType<typeof launch> | null = null

  const send = (command: Command): void => {
    agent?.child.stdin.write(`${encodeCommand(command)}\n`)
  }
  const kill = async (): Promise<void> => {
    agent?.child.kill('SIGKILL')
    await agent?.exited
  }
  const userspace = () => userspaceOf(interfaceName)
  return {
    namespace,
    interfaceName,
    lan,
    mesh,
    privateKeyText: keyText(keys.privateKey),
    peer: (endpoints = [`${lan}:${PORT}`]) => ({
      id: nodeId(`node-${number}`),
      name: `node-${number}`,
      address: mesh,
      wireguardKey: keys.publicKey,
      endpoints,
    }),
    start(options = {}) {
      agent = launch(namespace, options)
      send({ kind: 'start', interfaceName, listenPort: PORT, privateKey: keyText(keys.privateKey) })
    },
    apply(peers, changes = {}) {
      const order = {
        mode: 'wireguard',
        address: mesh,
        cidr: CIDR,
        network: 'lab',
        peers,
        ...changes,
      } as const
      send({ kind: 'apply', order })
    },
    facts: () => agent?.facts() ?? none,
    events: () => agent?.events ?? [],
    said: () => agent?.lines.join('\n') ?? '',
    async stop(keep) {
      send({ kind: 'stop', keep })
      await agent?.exited
    },
    kill,
    exec: async (command) =>
      (await run('ip', ['netns', 'exec', namespace, 'sh', '-c', command], { encoding: 'utf8' })).stdout,
    pings: async (address) =>
      run('ip', ['netns', 'exec', namespace, 'ping', '-c', '1', '-W', '1', address]).then(
        () => true,
        () => false,
      ),
    userspace,
    async end() {
      await kill()
      const pid = userspace()
      if (pid !== null) process.kill(pid, 'SIGKILL')
      rmSync(`/var/run/wireguard/${interfaceName}.sock`, { force: true })
    },
  }
}

function launch(namespace: string, { wrap = [], path = process.env.PATH ?? '' }: AgentOptions) {
  const args = ['netns', 'exec', namespace, ...wrap, 'env', `PATH=${path}`, process.execPath, AGENT]
  const child = spawn('ip', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines: string[] = []
  const events: string[] = []
  let facts: MeshFacts = { up: false, peers: [], problems: [] }
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    const message = JSON.parse(line)
    if (message.facts !== undefined) facts = message.facts
    if (message.event !== undefined) events.push(message.event)
  })
  const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  return { child, lines, events, exited, facts: () => facts }
}

function userspaceOf(interfaceName: string): number | null {
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0')
      if (words[0]?.endsWith('wireguard-go') && words.includes(interfaceName)) return Number(entry)
    } catch {
      // It ended meanwhile.
    }
  }
  return null
}

export interface Tools {
  /** A directory for PATH that holds the named tools and nothing else. */
  readonly path: string
  /** One line for each run of a tool: its name and arguments, then its environment. */
  runs(): readonly string[]
  end(): void
}

/** Tools that write down how they were called before they do their work. */
export function makeTools(names: readonly string[]): Tools {
  const path = mkdtempSync('/tmp/muster-mesh-tools-')
  const log = `${path}/runs.log`
  writeFileSync(log, '')
  for (const name of names) {
    const real = sh(`command -v ${name}`).trim()
    const script = [
      '#!/bin/bash',
      'environment=$(export -p)',
      `echo "${name} $* \${environment//$'\\n'/ }" >>${log}`,
      `exec ${real} "$@"`,
    ]
    writeFileSync(`${path}/${name}`, `${script.join('\n')}\n`)
    chmodSync(`${path}/${name}`, 0o755)
  }
  return {
    path,
    runs: () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line !== ''),
    end: () => rmSync(path, { recursive: true }),
  }
}
