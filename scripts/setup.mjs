/**
 * The first word of every npm script: makes sure that node_modules is what package-lock.json says, so that
 * `npm run demo` and `npm test` work in a fresh checkout on a machine that has no more than an older Node and
 * npm. Hence plain JavaScript without dependencies. Everything it says goes to standard error: a script's
 * standard output may be a document.
 *
 * Among the packages is the Node that runs everything else. The scripts go on with `exec env node`: env, for
 * the shell remembers where it found the first `node`; exec, so that a signal reaches what runs.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PINNED_NODE = join(ROOT, 'node_modules/.bin/node')

const reason = whyIncomplete()
if (reason !== null) install(reason)

/** @returns null where everything is there. npm keeps a lock file of what it installed. */
function whyIncomplete() {
  const wanted = packagesOf('package-lock.json')
  const installed = packagesOf('node_modules/.package-lock.json')
  if (installed === null) return 'node_modules is missing'
  for (const [path, { version, integrity, optional }] of Object.entries(wanted ?? {})) {
    if (path === '') continue
    const found = installed[path]
    // Binaries for other platforms are never installed.
    if (found === undefined && optional) continue
    if (found?.version !== version || found?.integrity !== integrity) {
      return `${path} is not what package-lock.json says`
    }
  }
  return existsSync(PINNED_NODE) ? null : `${PINNED_NODE} is missing`
}

function packagesOf(file) {
  const path = join(ROOT, file)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : null
}

function install(why) {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  say(`${why}: installing this project's packages there with "npm ci",`)
  say(`among them Node ${devDependencies.node}, which runs the project (this is ${process.version})`)
  const npm = process.env.npm_execpath
  const [command, ...first] = npm === undefined ? ['npm'] : [process.execPath, npm]
  const { status, error } = spawnSync(command, [...first, 'ci', '--no-json', '--loglevel=error'], {
    cwd: ROOT,
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
  })
  if (error !== undefined || status !== 0) fail(`"npm ci" failed: ${error?.message ?? `code ${status}`}`)
  if (!existsSync(PINNED_NODE)) {
    fail(`${PINNED_NODE} is missing: is npm set to ignore install scripts? Try "npm rebuild node"`)
  }
  say('installed')
}

function fail(message) {
  say(message)
  process.exit(1)
}

function say(line) {
  process.stderr.write(`muster: ${line}\n`)
}
