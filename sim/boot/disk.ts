/**
 * A disk that really boots: GRUB in its first sectors with config/grub.cfg, the partitions of the Kairos layout, and
 * small root images with Debian's cloud kernel. Made without mounts, loop devices or device mapper.
 */
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { build } from 'esbuild'
import { execa } from 'execa'
import type { Image } from '../../src/host/slots/contract.ts'
import { formatEnvBlock } from '../../src/host/slots/kairos/env-block.ts'

const ROOT = join(import.meta.dirname, '../..')
const MIB = 1024 * 1024
const SECTOR = 512

/** In the order in which they must be loaded; ext4 is built in. */
const MODULES = ['virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev', 'virtio_pci']
const DRIVERS = [...MODULES, 'virtio_blk', 'loop']

const GRUB_MODULES =
  'biosdisk part_msdos ext2 normal configfile search search_label loopback linux loadenv test echo boot reboot minicmd serial terminal'

export type Kind = 'healthy' | 'panics' | 'without-kernel'

/** What every image of a run is made of. */
export interface Parts {
  readonly directory: string
  /** Kernel and initrd. */
  readonly boot: string
}

/** Kernel, initrd and GRUB from Debian's packages, none of them installed: a host's own kernel stays as it is. */
export async function gatherParts(directory: string): Promise<Parts> {
  const boot = join(directory, 'boot')
  mkdirSync(boot, { recursive: true })
  const kernel = join(directory, 'kernel')
  mkdirSync(kernel, { recursive: true })
  const { stdout } = await execa('apt-cache', ['depends', 'linux-image-cloud-amd64'])
  const name = /Depends: (linux-image-\S+-cloud-amd64)/.exec(stdout)?.[1]
  if (name === undefined) throw new Error('Debian has no cloud kernel for amd64 here')
  await execa('apt-get', ['download', '-q', name], { cwd: kernel })
  const { stdout: files } = await execa('find', [kernel, '-name', '*.deb'])
  await execa('dpkg-deb', ['-x', files.trim(), kernel])
  const { stdout: image } = await execa('find', [join(kernel, 'boot'), '-name', 'vmlinuz-*'])
  copyFileSync(image.trim(), join(boot, 'vmlinuz'))
  await makeInitrd(kernel, join(boot, 'initrd'))
  return { directory, boot }
}

async function makeInitrd(kernel: string, path: string): Promise<void> {
  const tree = mkdtempSync(join(dirname(path), 'initrd-'))
  for (const name of ['bin', 'lib', 'proc', 'dev', 'sys', 'state', 'root']) mkdirSync(join(tree, name))
  copyFileSync('/bin/busybox', join(tree, 'bin/busybox'))
  for (const module of DRIVERS) {
    const { stdout } = await execa('find', [kernel, '-name', `${module}.ko`])
    const [found] = stdout.split('\n')
    if (found === undefined || found === '') throw new Error(`the kernel has no module ${module}`)
    copyFileSync(found, join(tree, 'lib', `${module}.ko`))
  }
  const script = readFileSync(join(import.meta.dirname, 'initrd-init.sh'), 'utf8')
  writeFileSync(join(tree, 'init'), script.replace('@DRIVERS@', DRIVERS.join(' ')), { mode: 0o755 })
  await execa('sh', ['-c', `find . | cpio --quiet -o -H newc | gzip -1 > ${path}`], { cwd: tree })
  rmSync(tree, { recursive: true })
}

/** A root image, and its digest. Two of one name and kind are the same. */
export async function makeRootImage(parts: Parts, name: string, kind: Kind): Promise<Image> {
  const tree = join(parts.directory, `root-${name}`)
  for (const at of [
    'bin',
    'boot',
    'dev',
    'proc',
    'sys',
    'run',
    'tmp',
    'oem',
    'usr/local',
    'lib64',
    'lib',
    'sbin',
  ]) {
    mkdirSync(join(tree, at), { recursive: true })
  }
  for (const file of kind === 'without-kernel' ? ['initrd'] : ['vmlinuz', 'initrd']) {
    copyFileSync(join(parts.boot, file), join(tree, 'boot', file))
  }
  copyFileSync('/bin/busybox', join(tree, 'bin/busybox'))
  for (const tool of ['sh', 'mount', 'umount', 'reboot', 'sync', 'stty', 'mkdir', 'fsfreeze']) {
    await execa('ln', ['-sf', 'busybox', join(tree, 'bin', tool)])
  }
  await copyProgram('/sbin/tune2fs', join(tree, 'sbin'), tree)
  await copyLibraries(process.execPath, tree)
  const init = kind === 'panics' ? '#!/bin/sh\necho "this init ends"\nexit 1\n' : readGuestInit()
  writeFileSync(join(tree, 'init'), init, { mode: 0o755 })
  writeFileSync(join(tree, 'version'), `${name}\n`)
  const path = join(parts.directory, `${name}.img`)
  await makeFileSystem(path, 40, 'ext2', 'COS_ACTIVE', tree)
  const bytes = readFileSync(path)
  return { path, digest: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, version: name }
}

const readGuestInit = (): string => readFileSync(join(import.meta.dirname, 'guest-init.sh'), 'utf8')

async function copyProgram(path: string, to: string, tree: string): Promise<void> {
  copyFileSync(path, join(to, basename(path)))
  await copyLibraries(path, tree)
}

/** The program interpreter where the program names it, everything else in /lib. */
async function copyLibraries(path: string, tree: string): Promise<void> {
  const { stdout } = await execa('ldd', [path])
  for (const [, library = ''] of stdout.matchAll(/(\/\S+\.so\S*)/g)) {
    const to = library.startsWith('/lib64/ld-') ? join(tree, library) : join(tree, 'lib', basename(library))
    if (!existsSync(to)) copyFileSync(library, to)
  }
}

async function makeFileSystem(
  path: string,
  sizeMiB: number,
  type: 'ext2' | 'ext4',
  label: string,
  tree: string,
): Promise<void> {
  await execa('mke2fs', ['-q', '-F', '-t', type, '-L', label, '-d', tree, path, `${sizeMiB}m`])
}

/** @returns the path of a raw disk image with these slots. */
export async function makeDisk(
  parts: Parts,
  {
    active,
    passive,
    recovery,
    images,
  }: Record<'active' | 'passive' | 'recovery', Image> & {
    /** What the guest finds in /usr/local/images, by name. */
    readonly images: readonly Image[]
  },
): Promise<string> {
  const work = mkdtempSync(join(parts.directory, 'disk-'))
  const tree = (name: string): string => {
    const path = join(work, name)
    mkdirSync(path, { recursive: true })
    return path
  }
  const state = tree('state')
  mkdirSync(join(state, 'cOS'))
  await labelled(active, join(state, 'cOS/active.img'), 'COS_ACTIVE')
  await labelled(passive, join(state, 'cOS/passive.img'), 'COS_PASSIVE')
  copyFileSync(join(ROOT, 'config/grub.cfg'), join(state, 'grub.cfg'))
  writeFileSync(join(state, 'boot_assessment'), formatEnvBlock(new Map()))
  const oem = tree('oem')
  writeFileSync(join(oem, 'grubenv'), formatEnvBlock(new Map()))
  const rescue = tree('recovery')
  mkdirSync(join(rescue, 'cOS'))
  await labelled(recovery, join(rescue, 'cOS/recovery.img'), 'COS_SYSTEM')
  const local = tree('local')
  mkdirSync(join(local, 'images'))
  for (const image of images) copyFileSync(image.path, join(local, 'images', `${image.version}.img`))
  copyFileSync(process.execPath, join(local, 'node'))
  chmodSync(join(local, 'node'), 0o755)
  await build({
    entryPoints: [join(import.meta.dirname, 'guest.ts')],
    outfile: join(local, 'guest.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'error',
    banner: {
      js: "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)",
    },
  })
  const partitions = [
    { tree: state, label: 'COS_STATE', sizeMiB: 40 * 4 + 32 },
    { tree: oem, label: 'COS_OEM', sizeMiB: 8 },
    { tree: rescue, label: 'COS_RECOVERY', sizeMiB: 56 },
    { tree: local, label: 'COS_PERSISTENT', sizeMiB: 180 + 40 * images.length },
  ]
  const disk = join(work, 'disk.img')
  await execa('truncate', ['-s', `${2 + partitions.reduce((sum, { sizeMiB }) => sum + sizeMiB, 0)}M`, disk])
  let at = 1
  const table: string[] = ['label: dos', 'unit: sectors']
  for (const { tree: from, label, sizeMiB } of partitions) {
    const file = join(work, `${label}.part`)
    await makeFileSystem(file, sizeMiB, 'ext4', label, from)
    await execa('dd', [
      `if=${file}`,
      `of=${disk}`,
      'bs=1M',
      `seek=${at}`,
      'conv=notrunc,sparse',
      'status=none',
    ])
    table.push(`start=${(at * MIB) / SECTOR}, size=${(sizeMiB * MIB) / SECTOR}, type=83`)
    at += sizeMiB
    rmSync(file)
  }
  await execa('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', disk], { input: `${table.join('\n')}\n` })
  await installGrub(work, disk)
  return disk
}

/** boot.img in the first sector, core.img in those after it, where boot.img looks for it (grub: boot/i386/pc). */
async function installGrub(work: string, disk: string): Promise<void> {
  const early = join(work, 'early.cfg')
  writeFileSync(
    early,
    [
      'serial --unit=0 --speed=115200',
      'terminal_output serial',
      'search --no-floppy --set=root --label COS_STATE',
      'configfile /grub.cfg',
      '',
    ].join('\n'),
  )
  const core = join(work, 'core.img')
  await execa('grub-mkimage', [
    ...['-O', 'i386-pc', '-o', core, '-c', early, '-p', '/grub'],
    ...GRUB_MODULES.split(' '),
  ])
  const boot = '/usr/lib/grub/i386-pc/boot.img'
  await execa('dd', [`if=${boot}`, `of=${disk}`, 'bs=446', 'count=1', 'conv=notrunc', 'status=none'])
  await execa('dd', [`if=${core}`, `of=${disk}`, 'bs=512', 'seek=1', 'conv=notrunc', 'status=none'])
}

async function labelled(image: Image, to: string, label: string): Promise<void> {
  copyFileSync(image.path, to)
  await execa('tune2fs', ['-L', label, to])
}
