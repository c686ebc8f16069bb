/** Before the suite: what it needs of Debian, and on which k3s it stands. */
import { installMissing } from '../../sim/lab/packages.ts'
import { ground } from './ground.ts'

export async function setup(): Promise<void> {
  await installMissing('lab', (line) => process.stderr.write(`${line}\n`))
  process.stderr.write(
    ground.binary === null
      ? 'the real k3s was not run: this is the double (K3S_BIN=/path/to/k3s runs the suite on the real one)\n'
      : `k3s is ${ground.binary}\n`,
  )
}
