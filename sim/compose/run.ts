/**
 * `npm run test:compose`: sim/compose.yaml as a user runs it, on a Docker engine of its own, which is gone at the
 * end. A Debian-like machine and root are all that it needs: base images are made here, once, and kept in the cache
 * directory of the user.
 */
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { installMissing } from '../lab/packages.ts'
import { makeBaseImages } from './base-images.ts'
import { Checks } from './checks.ts'
import { findCompose, Project } from './containers.ts'
import { startEngine } from './engine.ts'
import { formsAndResumes, formsOfFive } from './scenarios.ts'

const ROOT = join(import.meta.dirname, '../..')
/** Not in memory: a state directory in memory is something that muster refuses. */
const PARENT = '/var/tmp'
/** The number that most systems give to their first user. */
const SOMEONE = 1_000

async function main(): Promise<boolean> {
  if (process.getuid?.() !== 0) throw new Error('a Docker engine needs root: run this as root')
  if (!existsSync('/dev/net/tun')) throw new Error('the mesh needs /dev/net/tun, which this machine lacks')
  await installMissing('compose', (line) => process.stdout.write(`${line}\n`))
  const composeCommand = await findCompose()
  const directory = mkdtempSync(join(PARENT, 'muster-compose-'))
  const checks = new Checks()
  // Each engine takes the directory with it, also when nobody is left here to do that.
  const builder = await startEngine({ directory, network: 'host' })
  let isBuilt = false
  try {
    isBuilt = await checks.check('the image builds', () => buildImage(builder.address, directory))
  } finally {
    await builder.stop({ keep: isBuilt })
  }
  if (!isBuilt) return checks.end()
  const { address, stop } = await startEngine({ directory, network: 'own' })
  try {
    const scratch = join(directory, 'private')
    mkdirSync(scratch, { mode: 0o700 })
    const open = async (name: string, nodes: number): Promise<{ project: Project; token: string }> => {
      const tokenFile = join(scratch, `${name}.token`)
      writeFileSync(tokenFile, '', { mode: 0o600 })
      const project = new Project({ address, name, nodes, tokenFile, composeCommand, scratch })
      const token = await project.newToken()
      writeFileSync(tokenFile, `${token}\n`)
      // As its maker leaves it: private, and not root's.
      chownSync(tokenFile, SOMEONE, SOMEONE)
      return { project, token }
    }
    const three = await open('three', 3)
    await formsAndResumes(checks, three.project, three.token)
    await formsOfFive(checks, (await open('five', 5)).project)
  } finally {
    await stop()
  }
  return checks.end()
}

/** The Dockerfile as it is, on base images made here. */
async function buildImage(address: string, directory: string): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'muster')
  const scratch = mkdtempSync(join(directory, 'images-'))
  try {
    await makeBaseImages(address, cache, scratch)
  } finally {
    rmSync(scratch, { recursive: true })
  }
  const env = { DOCKER_HOST: address }
  await execa('docker', ['build', '--network=host', '--tag', 'muster', ROOT], { env, all: true })
  const { stdout } = await execa('docker', ['image', 'inspect', '--format', '{{.Size}}', 'muster'], { env })
  return `${Math.round(Number(stdout) / 1e6)} MB`
}

try {
  process.exitCode = (await main()) ? 0 : 1
} catch (error) {
  process.stdout.write(`FAILED  ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
