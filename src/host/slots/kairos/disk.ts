/**
 * The few things that the engine does to the partition of the slots. Each is durable when it resolves; cut short, it
 * has happened, or not, or (`copy`, `seal`: of a file that nothing boots) left something worthless behind.
 */
import { createHash } from 'node:crypto'
import { open, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { execa } from 'execa'
import { makeDirectoryDurably, syncDirectory, writeDurably } from '../../durable-file.ts'
import { SlotError } from '../contract.ts'
import { readSuperblock, type Superblock } from './superblock.ts'

export interface SlotDisk {
  /** Null where there is no such file. Small files only. */
  read(path: string): Promise<Uint8Array | null>
  /** Bytes; null where there is no such file. */
  size(path: string): Promise<number | null>
  /** Bytes that this process may still write on the file system of the path. */
  free(path: string): Promise<number>
  superblock(path: string): Promise<Superblock | null>
  /** SHA-256 of the content, hexadecimal. */
  digest(path: string): Promise<string>
  /** A small file: afterwards the old one or the new one. */
  write(path: string, content: Uint8Array): Promise<void>
  /** Copies and syncs. @returns the SHA-256 of what was read. */
  copy(from: string, to: string): Promise<string>
  /** Sets label and UUID of an image that is not in use, and syncs it. */
  seal(path: string, as: Superblock): Promise<void>
  /** Replaces what is at `to`, in one step. */
  move(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Runs the act while the partition may be written. */
  writable<T>(act: () => Promise<T>): Promise<T>
}

const CHUNK_BYTES = 4 * 1024 * 1024
/** tune2fs changes some blocks; on a slow card a sync of a whole image may wait before it. */
const TUNE_TIMEOUT_MS = 120_000
/** The journal is some megabytes. */
const FREEZE_TIMEOUT_MS = 30_000

export interface DiskOptions {
  /** Where the partition is mounted: what is remounted for writing when it is read-only. */
  readonly mountPoint: string
}

export function slotDisk({ mountPoint }: DiskOptions): SlotDisk {
  return {
    read: (path) => orNull(readFile(path)),
    size: async (path) => (await orNull(stat(path)))?.size ?? null,
    free: async (path) => {
      const { bavail, bsize } = await statfs(path)
      return bavail * bsize
    },
    superblock: readSuperblock,
    digest: (path) => digestOf(path),
    write: async (path, content) => {
      await makeDirectoryDurably(dirname(path))
      await writeDurably(path, content, 0o644)
    },
    copy,
    seal,
    move: async (from, to) => {
      await rename(from, to)
      await syncDirectory(dirname(to))
      if (dirname(from) !== dirname(to)) await syncDirectory(dirname(from))
    },
    remove: async (path) => {
      await rm(path, { force: true })
      await syncDirectory(dirname(path))
    },
    writable: (act) => whileWritable(mountPoint, act),
  }
}

async function orNull<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  await eachChunk(path, async (chunk) => {
    hash.update(chunk)
  })
  return hash.digest('hex')
}

async function copy(from: string, to: string): Promise<string> {
  const hash = createHash('sha256')
  const target = await open(to, 'w', 0o600)
  try {
    await eachChunk(from, async (chunk) => {
      hash.update(chunk)
      await target.writeFile(chunk)
    })
    await target.sync()
  } finally {
    await target.close()
  }
  await syncDirectory(dirname(to))
  return hash.digest('hex')
}

async function eachChunk(path: string, take: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  const source = await open(path, 'r')
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES)
    for (;;) {
      const { bytesRead } = await source.read(buffer, 0, CHUNK_BYTES, null)
      if (bytesRead === 0) return
      await take(buffer.subarray(0, bytesRead))
    }
  } finally {
    await source.close()
  }
}

/** e2fsprogs knows which copies and checksums of the superblock go with it. */
async function seal(path: string, { label, uuid }: Superblock): Promise<void> {
  const result = await execa('tune2fs', ['-f', '-L', label, '-U', uuid, path], {
    reject: false,
    timeout: TUNE_TIMEOUT_MS,
    input: '',
    env: { LC_ALL: 'C' },
  })
  if (result.failed) {
    throw new SlotError(
      'MUSTER_E_SLOT_IMAGE',
      `tune2fs cannot label ${path}: ${result.stderr || result.shortMessage}`,
      'the image must be an ext2, ext3 or ext4 file system, and e2fsprogs must be installed',
    )
  }
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

async function whileWritable<T>(mountPoint: string, act: () => Promise<T>): Promise<T> {
  const mode = await mountMode(mountPoint)
  // A directory of another file system: its journal is not this machine's boot loader's business.
  if (mode === null) return await act()
  if (mode === 'ro') await remount(mountPoint)
  else await thaw(mountPoint)
  try {
    return await act()
  } finally {
    await checkpoint(mountPoint)
    // Refused while the running slot's file has lost its name: it stays writable until the reboot.
    if (mode === 'ro') await execa('mount', ['-o', 'remount,ro', mountPoint], { reject: false })
  }
}

/**
 * Boot loaders do not replay journals: freezing writes the journal out (Linux: fs/ext4/super.c, ext4_freeze). Where
 * that cannot be, a power cut within the journal's few seconds may pair an old kernel with a new image for one boot.
 */
async function checkpoint(mountPoint: string): Promise<void> {
  try {
    await execa('fsfreeze', ['-f', mountPoint], { reject: false, timeout: FREEZE_TIMEOUT_MS })
  } finally {
    await thaw(mountPoint)
  }
}

/** Also what a daemon left that was killed in between: nobody could ever write there again. */
async function thaw(mountPoint: string): Promise<void> {
  await execa('fsfreeze', ['-u', mountPoint], { reject: false, timeout: FREEZE_TIMEOUT_MS })
}

/** Null where nothing is mounted there. */
async function mountMode(mountPoint: string): Promise<'ro' | 'rw' | null> {
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  const fields = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .findLast(([, point]) => point === mountPoint)
  if (fields === undefined) return null
  return fields[3]?.split(',').includes('ro') === true ? 'ro' : 'rw'
}

async function remount(mountPoint: string): Promise<void> {
  const result = await execa('mount', ['-o', `remount,rw`, mountPoint], { reject: false })
  if (!result.failed) return
  throw new SlotError(
    'MUSTER_E_SLOT_IO',
    `cannot remount ${mountPoint} for writing: ${result.stderr || result.shortMessage}`,
    'muster must run as root; look at `dmesg` for errors of that disk',
  )
}
