/** Before the machines that boot: the Debian packages that these need. */
import { existsSync } from 'node:fs'
import { execa } from 'execa'
import { installMissing } from '../../sim/lab/packages.ts'

export async function setup(): Promise<void> {
  await installMissing('boot', (line) => process.stderr.write(`${line}\n`))
  // The one package without a command: GRUB's images for machines with a BIOS.
  if (!existsSync('/usr/lib/grub/i386-pc/boot.img')) {
    await execa('apt-get', ['install', '-y', '--no-install-recommends', 'grub-pc-bin'], {
      env: { DEBIAN_FRONTEND: 'noninteractive' },
    })
  }
}
