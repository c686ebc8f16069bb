/**
 * A Docker engine of our own: its data, sockets, mounts, process table and, where wanted, network are its alone.
 * Its first process reads a pipe that we hold open, so that whatever ends us, a SIGKILL too, ends the engine, and
 * with it all containers, bridges and mounts. The machine's own engine, if it has one, never hears of it.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { until } from '../lab/until.ts'

export interface EngineOptions {
  /** Absolute, the engine's alone, on a real file system. */
  readonly directory: string
  /**
   * `host`: builds reach what this machine reaches, and there are no bridges. `own`: containers have bridges,
   * and reach nothing outside.
   */
  readonly network: 'host' | 'own'
}

export interface Engine {
  /** For DOCKER_HOST. */
  readonly address: string
  /** Ends it with all its containers. The directory goes as well, unless the next engine is to find it. */
  stop(options?: { readonly keep: boolean }): Promise<void>
}

/** $1: cgroup, $2: directory; what follows starts the engine, and fails when the directory is to go. */
const OUTER = `
cgroup=$1 directory=$2
shift 2
"$@" && keep=yes || keep=no
find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2> /dev/null
[ $keep = yes ] || rm -rf "$directory"
`

/**
 * $1: cgroup, $2: directory. What lies in /run has fixed names there, hence a /run of its own; of the machine's, a
 * build may need the resolver's file. The machine's daemon.json does not count.
 */
const FIRST_PROCESS = `
set -e
mount --make-rprivate /
resolver=$(readlink -f /etc/resolv.conf)
resolvers=$(cat "$resolver" || true)
mount -t tmpfs -o mode=755 tmpfs /run
case "$resolver" in /run/*)
  mkdir -p "$(dirname "$resolver")"
  printf '%s\\n' "$resolvers" > "$resolver"
esac
ip link set lo up
echo '{}' > /run/daemon.json
dockerd --config-file /run/daemon.json --exec-root /run/docker --pidfile /run/docker.pid \\
  --host "unix://$2/docker.sock" --data-root "$2/data" \\
  --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$1" \\
  --bridge=none --iptables=false --ip6tables=false --ip-forward=false \\
  > "$2/engine.log" 2>&1 < /dev/null &
read -r word || true
[ "$word" = keep ]
`

export async function startEngine({ directory, network }: EngineOptions): Promise<Engine> {
  mkdirSync(directory, { recursive: true })
  const own = [`muster-compose-${process.pid}`, directory]
  const namespaces = ['--mount', '--pid', '--mount-proc', ...(network === 'own' ? ['--net'] : [])]
  const inner = ['unshare', ...namespaces, '--fork', '--kill-child', 'bash', '-c', FIRST_PROCESS, 'engine']
  const parent = spawn('bash', ['-c', OUTER, 'engine', ...own, ...inner, ...own], {
    stdio: ['pipe', 'ignore', 'pipe'],
    // A session of its own: Ctrl-C in the terminal reaches us, and we decide.
    detached: true,
  })
  const said: string[] = []
  parent.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  parent.stdin.on('error', () => undefined)
  const gone = new Promise<void>((resolve) => {
    parent.once('error', (error) => {
      said.push(error.message)
      resolve()
    })
    parent.once('exit', () => resolve())
  })
  const stop = async ({ keep } = { keep: false }): Promise<void> => {
    parent.stdin.end(keep ? 'keep\n' : '')
    await gone
  }
  const address = `unix://${directory}/docker.sock`
  try {
    await until('the Docker engine', () => answers(address), {
      timeoutMs: 30_000,
      describe: () => `${said.join('')}${lastLines(join(directory, 'engine.log'), 10)}`,
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { address, stop }
}

async function answers(address: string): Promise<boolean> {
  const { exitCode } = await execa('docker', ['version'], { env: { DOCKER_HOST: address }, reject: false })
  return exitCode === 0
}

const lastLines = (file: string, count: number): string =>
  existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n') : ''
