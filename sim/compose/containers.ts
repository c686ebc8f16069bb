/** The containers of one compose project: what a user does with them, and what can be seen of them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { z } from 'zod'
import type { StatusDocument } from '../../src/core/status.ts'
import { type Identity, loadOrCreateIdentity } from '../../src/host/identity.ts'

const COMPOSE_FILE = join(import.meta.dirname, '../compose.yaml')
const STATE = '/var/lib/muster'

const Inspected = z.array(z.object({ Config: z.record(z.string(), z.unknown()) }))

export interface ProjectOptions {
  /** Of the engine, for DOCKER_HOST. */
  readonly address: string
  readonly name: string
  /** How many machines there are on the first day. */
  readonly nodes: number
  readonly tokenFile: string
  /** Command line of compose. */
  readonly composeCommand: readonly [string, ...string[]]
  /** For what is copied out of containers; private. */
  readonly scratch: string
}

export class Project {
  readonly #options: ProjectOptions
  readonly #env: Readonly<Record<string, string>>
  /** All that compose ever printed, for who looks for secrets in it. */
  readonly printed: string[] = []

  constructor(options: ProjectOptions) {
    this.#options = options
    this.#env = {
      DOCKER_HOST: options.address,
      NODES: String(options.nodes),
      TOKEN_FILE: options.tokenFile,
    }
  }

  async compose(...args: readonly string[]): Promise<string> {
    const { composeCommand, name } = this.#options
    const [file, ...first] = composeCommand
    const options = ['--file', COMPOSE_FILE, '--project-name', name]
    const { stdout, all } = await execa(file, [...first, ...options, ...args], {
      env: this.#env,
      stdin: 'ignore',
      all: true,
    })
    this.printed.push(all)
    return stdout
  }

  /** A new token by the service that makes it: the one output of compose that is secret. */
  async newToken(): Promise<string> {
    const token = await this.compose('run', '--rm', '-T', 'token')
    this.printed.pop()
    return token.trim()
  }

  async docker(...args: readonly string[]): Promise<string> {
    return (await execa('docker', args, { env: this.#env, stdin: 'ignore' })).stdout
  }

  /** IDs of the nodes' containers, the oldest first; those that do not run as well. */
  async containers(): Promise<string[]> {
    const labels = [`project=${this.#options.name}`, 'service=node'].flatMap((label) => [
      '--filter',
      `label=com.docker.compose.${label}`,
    ])
    const format = '{{.Label "com.docker.compose.container-number"}} {{.ID}}'
    const lines = (await this.docker('ps', '--all', '--no-trunc', ...labels, '--format', format)).split('\n')
    return lines
      .filter((line) => line !== '')
      .map((line) => line.split(' '))
      .sort(([a], [b]) => Number(a) - Number(b))
      .map(([, id]) => id ?? '')
  }

  async muster(container: string, ...args: readonly string[]): Promise<string> {
    return this.docker('exec', container, 'muster', ...args)
  }

  async status(container: string): Promise<StatusDocument> {
    return JSON.parse(await this.muster(container, 'status', '--json'))
  }

  /** What the image's own health check says: starting, healthy, unhealthy. */
  async health(container: string): Promise<string> {
    return (await this.docker('inspect', '--format', '{{.State.Health.Status}}', container)).trim()
  }

  /** What a container was told to be, without its name. */
  async configuration(container: string): Promise<string> {
    const [inspected] = Inspected.parse(JSON.parse(await this.docker('inspect', container)))
    const { Hostname: _, Labels: __, ...rest } = inspected?.Config ?? {}
    const file = await this.docker('exec', container, 'sha256sum', '/etc/muster/muster.yaml')
    return `${JSON.stringify(rest)} ${file}`
  }

  /** The keys of a node, to look for where they must not be. */
  async identity(container: string): Promise<Identity> {
    const directory = mkdtempSync(join(this.#options.scratch, 'identity-'))
    try {
      await this.docker('cp', `${container}:${STATE}/identity`, directory)
      return await loadOrCreateIdentity({ directory, load: () => ({ kind: 'fresh' }) })
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }

  /** What compose made for the project and is there still: containers, networks, volumes. */
  async remains(): Promise<string[]> {
    const own = ['--filter', `label=com.docker.compose.project=${this.#options.name}`]
    const found = [
      await this.docker('ps', '--all', '--quiet', ...own),
      await this.docker('network', 'ls', '--quiet', ...own),
      // Volumes without a name carry no label; the engine has no others.
      await this.docker('volume', 'ls', '--quiet'),
    ]
    return found.flatMap((text) => text.split('\n').filter((line) => line !== ''))
  }
}

/** Compose v2, else v1; whichever this machine has. */
export async function findCompose(): Promise<readonly [string, ...string[]]> {
  const { exitCode } = await execa('docker', ['compose', 'version'], { reject: false })
  return exitCode === 0 ? ['docker', 'compose'] : ['docker-compose']
}
