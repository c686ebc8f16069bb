/** For which machines a program was built, from its first bytes (elf(5)). */
import { open } from 'node:fs/promises'

export type Architecture = 'amd64' | 'arm64' | 'arm'

export type Program =
  | { readonly kind: 'elf'; readonly architecture: Architecture | 'other' }
  /** Begins with `#!`: the kernel finds its interpreter. */
  | { readonly kind: 'script' }
  | { readonly kind: 'none' }

/** What Go calls this machine's architecture; null where k3s is not built for it. */
export function ownArchitecture(arch: string = process.arch): Architecture | null {
  switch (arch) {
    case 'x64':
      return 'amd64'
    case 'arm64':
      return 'arm64'
    case 'arm':
      return 'arm'
    default:
      return null
  }
}

export async function readProgram(path: string): Promise<Program> {
  const file = await open(path, 'r')
  try {
    const bytes = Buffer.alloc(20)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
    return programOf(bytes.subarray(0, bytesRead))
  } finally {
    await file.close()
  }
}

export function programOf(head: Uint8Array): Program {
  const bytes = Buffer.from(head)
  if (bytes.subarray(0, 2).toString('latin1') === '#!') return { kind: 'script' }
  if (bytes.length < 20 || bytes.subarray(0, 4).toString('latin1') !== '\x7fELF') return { kind: 'none' }
  const isLittle = bytes[5] === 1
  const machine = isLittle ? bytes.readUInt16LE(18) : bytes.readUInt16BE(18)
  return { kind: 'elf', architecture: MACHINES[machine] ?? 'other' }
}

/** e_machine. */
const MACHINES: Readonly<Record<number, Architecture>> = { 40: 'arm', 62: 'amd64', 183: 'arm64' }
