/**
 * One daemon per state directory. The lock is flock(2)'s: the kernel frees it when the process that holds it
 * ends, however it ends, so there is nothing stale to clean up and no process ID to be mistaken about. Node
 * cannot call flock; the tool of that name can, on a descriptor that it is handed: the lock belongs to the open
 * file, which stays open here after the tool has ended.
 */
import { spawn } from 'node:child_process'
import { closeSync, constants, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { StoreError, storeErrorOf } from './store-errors.ts'

export interface Lock {
  release(): void
}

/**
 * Takes the lock or says who has it.
 * @throws StoreError MUSTER_E_STATE_IN_USE with the holder's process ID.
 */
export async function takeLock(path: string): Promise<Lock> {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  } catch (error) {
    throw storeErrorOf(error, `cannot open the lock ${path}`)
  }
  try {
    if (!(await flock(fd))) {
      const holder = readHolder(fd)
      throw new StoreError(
        'MUSTER_E_STATE_IN_USE',
        `the state directory is in use by another muster${holder === null ? '' : ` (process ${holder})`}`,
        'end that one first, or give this one a state directory of its own with --state',
        { pid: holder },
      )
    }
    writeHolder(fd)
    return { release: () => closeSync(fd) }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Whether the open file could be locked; false where another open file holds the lock. */
async function flock(fd: number): Promise<boolean> {
  const child = spawn('flock', ['-x', '-n', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
    env: { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
  })
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', resolve)
  }).catch((error: NodeJS.ErrnoException) => {
    throw new StoreError(
      'MUSTER_E_STATE_LOCK',
      `the state directory cannot be locked: the command flock does not run (${error.code ?? error.message})`,
      'install util-linux, which has flock',
      {},
      { cause: error },
    )
  })
  if (exitCode === 0) return true
  if (exitCode === 1) return false
  throw new StoreError(
    'MUSTER_E_STATE_LOCK',
    `the state directory cannot be locked: flock ended with ${exitCode ?? 'a signal'}`,
    'put the state directory on a local file system',
  )
}

/** The process ID is for people only; who holds the lock is the kernel's to say. */
function readHolder(fd: number): number | null {
  const bytes = Buffer.alloc(16)
  const length = readSync(fd, bytes, 0, bytes.length, 0)
  const text = bytes.toString('latin1', 0, length).trim()
  return /^[0-9]{1,10}$/.test(text) ? Number(text) : null
}

function writeHolder(fd: number): void {
  try {
    ftruncateSync(fd)
    writeSync(fd, `${process.pid}\n`, 0)
  } catch {
    // A full disk has no room for the note; the lock itself needs none.
  }
}
