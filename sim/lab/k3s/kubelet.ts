/** The node's own part in Kubernetes: it takes its name with a password, registers, and says that it lives. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { writePrivately } from './authorities.ts'
import { baked, minorOf, scaled } from './baked.ts'
import { type Call, call, type Reply } from './https-client.ts'
import { Fatal, log, wordsOf } from './log.ts'
import type { NodeSettings } from './settings.ts'

const PASSWORD_FILE = '/etc/rancher/node/password'

/** How to reach a server: itself, or the agent's load balancer. */
export interface Supervisor {
  readonly url: string
  readonly ca: string
  readonly password: string
}

export class Kubelet {
  readonly #settings: NodeSettings
  readonly #supervisor: Supervisor
  #cert: { readonly crt: string; readonly key: string } | null = null

  constructor(settings: NodeSettings, supervisor: Supervisor) {
    this.#settings = settings
    this.#supervisor = supervisor
  }

  /** Until it is let: who has not the name's password waits, and says so. */
  async enrol(): Promise<void> {
    checkLabels(this.#settings.labels)
    for (;;) {
      try {
        this.#cert = await this.#certificate()
        const { crt, key } = this.#cert
        const agent = join(this.#settings.dataDirectory, 'agent')
        writePrivately(join(agent, 'server-ca.crt'), this.#supervisor.ca)
        writePrivately(join(agent, 'client-kubelet.crt'), crt)
        writePrivately(join(agent, 'client-kubelet.key'), key)
        return
      } catch (error) {
        log('info', `Waiting to retrieve agent configuration; server is not ready: ${wordsOf(error)}`)
        await sleep(scaled(5_000))
      }
    }
  }

  async register(): Promise<void> {
    for (;;) {
      try {
        await this.#checkSkew()
        const reply = await this.#api('POST', '/api/v1/nodes', this.#node())
        if (reply.status === 409) await this.#expect(await this.#patch(this.#node()))
        else await this.#expect(reply)
        log('info', `Successfully registered node ${this.#settings.name}`)
        return
      } catch (error) {
        if (error instanceof Fatal) throw error
        log('info', `Unable to register node with API server: ${wordsOf(error)}`)
        await sleep(scaled(5_000))
      }
    }
  }

  /** Says again and again that it lives. A node that was deleted is not made again before the next start. */
  beat(): void {
    const round = (): void => {
      this.#patch({ status: { conditions: [this.#ready()] } })
        .then((reply) => this.#expect(reply))
        .catch((error: unknown) => log('error', `Error updating node status, will retry: ${wordsOf(error)}`))
        .finally(() => setTimeout(round, scaled(10_000)))
    }
    round()
  }

  async #certificate(): Promise<{ crt: string; key: string }> {
    const { url, ca, password } = this.#supervisor
    const reply = await call(`${url}/v1-k3s/client-kubelet.crt`, {
      ca,
      basic: { user: 'node', password },
      headers: {
        'k3s-node-name': this.#settings.name,
        'k3s-node-password': nodePassword(),
        'k3s-node-ip': this.#settings.address,
      },
    })
    if (reply.status === 403) {
      throw new Error(
        `Node password rejected, duplicate hostname or contents of '${PASSWORD_FILE}' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag`,
      )
    }
    if (reply.status !== 200) throw new Error(`${url}/v1-k3s/client-kubelet.crt: ${reply.status}`)
    const [crt = '', key = ''] = reply.text.split(/(?=-----BEGIN PRIVATE KEY-----)/)
    return { crt, key }
  }

  async #checkSkew(): Promise<void> {
    const { gitVersion } = z
      .object({ gitVersion: z.string() })
      .parse(JSON.parse((await this.#api('GET', '/version')).text))
    if (minorOf(baked.version) <= minorOf(gitVersion)) return
    throw new Fatal(
      `double: a kubelet of ${baked.version} must not be newer than its server, which is ${gitVersion}`,
    )
  }

  #node(): object {
    const { name, labels, taints, address, externalAddresses } = this.#settings
    const pairs = labels.map((label) => label.split(/=(.*)/s).slice(0, 2))
    return {
      kind: 'Node',
      apiVersion: 'v1',
      metadata: {
        name,
        labels: {
          'kubernetes.io/hostname': name,
          'kubernetes.io/os': 'linux',
          'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch,
          'node.kubernetes.io/instance-type': 'k3s',
          ...Object.fromEntries(pairs.map(([key, value = '']) => [key, value])),
        },
        annotations: { 'k3s.io/internal-ip': address, 'k3s.io/hostname': name },
      },
      spec: { ...(taints.length === 0 ? {} : { taints: taints.map(taintOf) }) },
      status: {
        addresses: [
          { type: 'InternalIP', address },
          { type: 'Hostname', address: name },
          ...externalAddresses.map((external) => ({ type: 'ExternalIP', address: external })),
        ],
        conditions: [this.#ready()],
        nodeInfo: { kubeletVersion: baked.version, operatingSystem: 'linux', architecture: process.arch },
      },
    }
  }

  #ready(): object {
    const now = new Date().toISOString()
    const message = 'kubelet is posting ready status'
    return { type: 'Ready', status: 'True', reason: 'KubeletReady', message, lastHeartbeatTime: now }
  }

  #patch(change: object): Promise<Reply> {
    return this.#api('PATCH', `/api/v1/nodes/${this.#settings.name}`, change)
  }

  #api(method: string, path: string, body?: object): Promise<Reply> {
    const { url, ca } = this.#supervisor
    const options: Call = {
      method,
      ca,
      ...(this.#cert === null ? {} : { cert: this.#cert }),
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }
    return call(`${url}${path}`, options)
  }

  async #expect({ status, text }: Reply): Promise<void> {
    if (status < 200 || status > 299) throw new Error(`${status}: ${text}`)
  }
}

export function nodePassword(): string {
  if (!existsSync(PASSWORD_FILE)) {
    mkdirSync(dirname(PASSWORD_FILE), { recursive: true })
    writeFileSync(PASSWORD_FILE, `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 })
  }
  return readFileSync(PASSWORD_FILE, 'utf8').trim()
}

function taintOf(text: string): object {
  const [, key, , value, effect] = /^([^=:]+)(=([^:]*))?:(.+)$/.exec(text) ?? []
  if (key === undefined || effect === undefined)
    throw new Fatal(`kubelet exited: invalid taint spec: ${text}`)
  return { key, ...(value === undefined ? {} : { value }), effect }
}

const ALLOWED = /^(kubelet\.kubernetes\.io|node\.kubernetes\.io)\//

/** The kubelet may not give itself a role. */
function checkLabels(labels: readonly string[]): void {
  const forbidden = labels
    .map((label) => label.split('=')[0] ?? '')
    .filter(
      (key) => /(^|\.)(kubernetes|k8s)\.io\//.test(key) && !ALLOWED.test(key) && !/^topology\./.test(key),
    )
  if (forbidden.length === 0) return
  throw new Fatal(
    `kubelet exited: unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [${forbidden.join(' ')}]`,
  )
}
