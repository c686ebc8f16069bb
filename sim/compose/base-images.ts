/**
 * The base images of the Dockerfile, made here under the names that it has for them, for machines that reach
 * Debian's packages and npm's but no image registry. They hold what the real ones hold, as far as the Dockerfile
 * needs it: a small Debian, and the same with Node and npm.
 */
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execa } from 'execa'

const DEBIAN = 'debian:bookworm-slim'
const NODE = 'node:24-bookworm-slim'
const SUITE = 'bookworm'
/** As in the real one: documents and translations of packages never get in. */
const LEFT_OUT = ['/usr/share/doc/*', '/usr/share/info/*', '/usr/share/man/*', '/usr/share/locale/*']
/** With whatever else this machine trusts, such as the proxy of its network. */
const TRUSTED = '/etc/ssl/certs/ca-certificates.crt'

/** Makes both in the engine at `address`; the Debian is kept in `cache` for the next time. */
export async function makeBaseImages(address: string, cache: string, scratch: string): Promise<void> {
  const docker = { env: { DOCKER_HOST: address } }
  await execa('docker', ['import', await debianRoot(cache), DEBIAN], docker)
  const context = join(scratch, 'node-image')
  await layOutNode(context)
  const dockerfile = [
    `FROM ${DEBIAN}`,
    'COPY . /',
    'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm',
    existsSync(TRUSTED) ? `ENV NODE_EXTRA_CA_CERTS=${TRUSTED}` : '',
  ].join('\n')
  const build = ['build', '--network=none', '--tag', NODE, '--file', '-', context]
  await execa('docker', build, { ...docker, input: dockerfile })
}

/** The Debian as a tarball. Made in about 20 s, with the apt sources that the suite has by itself. */
async function debianRoot(cache: string): Promise<string> {
  mkdirSync(cache, { recursive: true })
  const file = join(cache, `debian-${SUITE}.tar`)
  if (existsSync(file)) return file
  // Another run may be making it too: whoever is first, the file is whole.
  const directory = mkdtempSync(join(cache, 'making-'))
  try {
    const made = join(directory, 'root.tar')
    const options = LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`)
    await execa('mmdebstrap', ['--variant=minbase', ...options, SUITE, made])
    renameSync(made, file)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  return file
}

/** This project's own Node, and the npm of this machine. */
async function layOutNode(directory: string): Promise<void> {
  // …/npm/bin/npm-cli.js, which is what `npm` is a link to.
  const { stdout } = await execa('readlink', ['-f', process.env.npm_execpath ?? (await whereIsNpm())])
  const local = join(directory, 'usr/local')
  mkdirSync(join(local, 'bin'), { recursive: true })
  copyFileSync(process.execPath, join(local, 'bin/node'))
  cpSync(dirname(dirname(stdout)), join(local, 'lib/node_modules/npm'), { recursive: true })
  if (!existsSync(TRUSTED)) return
  mkdirSync(join(directory, 'etc/ssl/certs'), { recursive: true })
  copyFileSync(TRUSTED, join(directory, TRUSTED))
}

const whereIsNpm = async (): Promise<string> => (await execa('sh', ['-c', 'command -v npm'])).stdout
